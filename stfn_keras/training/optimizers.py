"""Optimisers and learning-rate schedules of a stage (pure Keras)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from stfn_keras.config import StageConfig


@keras.saving.register_keras_serializable(package="stfn_keras")
class StageSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then steps of a tenth, a half cosine to 0, or a constant.

    Args:
        rate: Peak learning rate.
        kind: `step`, `cosine` or `constant`.
        steps: Optimiser steps in the whole stage.
        warmup_steps: Steps of the linear warm-up.
        milestones: Steps after which `step` divides the rate by 10.
    """

    def __init__(
        self,
        rate: float,
        kind: str,
        steps: int,
        warmup_steps: int = 0,
        milestones: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.rate = rate
        self.kind = kind
        self.steps = steps
        self.warmup_steps = warmup_steps
        self.milestones = tuple(milestones)

    def __call__(self, step: Any) -> Any:
        """The learning rate at an optimiser step, counted from 0."""
        step = ops.cast(step, "float32")
        rate = ops.cast(self.rate, "float32")
        if self.kind == "cosine":
            length = max(self.steps - self.warmup_steps, 1)
            done = ops.clip((step - self.warmup_steps) / length, 0.0, 1.0)
            rate = rate * 0.5 * (1.0 + ops.cos(done * 3.141592653589793))
        elif self.kind == "step":
            for milestone in self.milestones:
                rate = rate * ops.where(step >= milestone, 0.1, 1.0)
        if self.warmup_steps:
            rate = rate * ops.minimum((step + 1.0) / self.warmup_steps, 1.0)
        return rate

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "rate": self.rate,
            "kind": self.kind,
            "steps": self.steps,
            "warmup_steps": self.warmup_steps,
            "milestones": list(self.milestones),
        }


class _Staged:
    """What a stage asks of an optimiser beyond Keras; mixed in before its class.

    - `penalty`: L2 on the weights, added to a gradient after clipping, as the paper's
      time did it (TSN). AdamW has its own decay, apart from the gradient.
    - `factors`: factors on the learning rate by a variable's path.
    - The moving averages of the weights stay apart: Keras' `fit` would write them over
      the weights at its end, which here is the end of every epoch. Their momentum
      grows to its value over the first steps, t / (10 + t), so that a short stage's
      average does not remember the random start (T: as TensorFlow 1's averages).
    """

    penalty: float = 0.0
    factors: Mapping[str, float] = MappingProxyType({})

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's step."""
        if self.penalty and self._use_weight_decay(variable):  # type: ignore[attr-defined]
            gradient = gradient + self.penalty * ops.cast(variable, gradient.dtype)
        # Under TensorFlow the variable is its own, which does not know Keras' path.
        known = self._trainable_variables[self._get_variable_index(variable)]  # type: ignore[attr-defined]
        factor = self.factors.get(known.path, 1.0)
        rate = learning_rate * factor
        super().update_step(gradient, variable, rate)  # type: ignore[misc]

    def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
        if not self.use_ema:  # type: ignore[attr-defined]
            return
        step = ops.cast(self.iterations, "float32")  # type: ignore[attr-defined]
        momentum = ops.minimum(self.ema_momentum, step / (10.0 + step))  # type: ignore[attr-defined]
        averages = self._model_variables_moving_average  # type: ignore[attr-defined]
        for weight, average in zip(trainable_variables, averages, strict=True):
            share = ops.cast(1.0 - momentum, average.dtype)
            average.assign(average + share * (ops.convert_to_tensor(weight) - average))

    def finalize_variable_values(self, var_list: Any) -> None:
        """Leave the weights alone."""

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        # Under TensorFlow: the engine has summed them over the replicas, unclipped.
        return grads_and_vars


@keras.saving.register_keras_serializable(package="stfn_keras")
class StageSGD(_Staged, keras.optimizers.SGD):
    """SGD as a stage asks for it."""


@keras.saving.register_keras_serializable(package="stfn_keras")
class StageAdam(_Staged, keras.optimizers.Adam):
    """Adam as a stage asks for it."""


@keras.saving.register_keras_serializable(package="stfn_keras")
class StageAdamW(_Staged, keras.optimizers.AdamW):
    """AdamW as a stage asks for it."""


def make_optimizer(
    config: StageConfig,
    steps_per_epoch: int,
    factors: Mapping[str, float] | None = None,
) -> keras.Optimizer:
    """The stage's optimiser; biases and normalisation weights are not decayed.

    Args:
        config: The stage's settings.
        steps_per_epoch: Batches of an epoch.
        factors: Factors on the learning rate by a variable's path.
    """
    schedule = StageSchedule(
        config.rate,
        config.schedule,
        config.epochs * steps_per_epoch,
        round(config.warmup * steps_per_epoch),
        tuple(m * steps_per_epoch for m in config.milestones),
    )
    shared: dict[str, Any] = {
        "learning_rate": schedule,
        "global_clipnorm": config.clip_norm or None,
        "use_ema": config.ema > 0.0,
        "ema_momentum": config.ema,
    }
    optimizer: Any
    if config.optimizer == "adamw":
        optimizer = StageAdamW(weight_decay=config.weight_decay, **shared)
    else:
        if config.optimizer == "sgd":
            optimizer = StageSGD(momentum=0.9, **shared)
        else:
            optimizer = StageAdam(**shared)
        optimizer.penalty = config.weight_decay
    optimizer.factors = dict(factors or {})
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def exchange_averages(model: keras.Model, optimizer: keras.Optimizer) -> None:
    """Exchange the trained weights with their moving averages; again to undo it.

    Does nothing where the optimiser keeps no averages.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of loss scaling
    if not optimizer.use_ema:
        return
    averages = optimizer._model_variables_moving_average
    for weight, average in zip(model.trainable_variables, averages, strict=True):
        value = ops.copy(weight.value)
        weight.assign(average)
        average.assign(value)
