"""Optimisers and learning-rate schedules of a stage (pure Keras)."""

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


def make_optimizer(config: StageConfig, steps_per_epoch: int) -> keras.Optimizer:
    """The stage's optimiser; biases and normalisation weights are not decayed.

    Keras decays weights apart from the gradient (decoupled), for SGD too.
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
        "weight_decay": config.weight_decay or None,
        "global_clipnorm": config.clip_norm or None,
    }
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=0.9, **shared)
    elif config.optimizer == "adam":
        optimizer = keras.optimizers.Adam(**shared)
    else:
        shared["weight_decay"] = config.weight_decay  # None is refused here
        optimizer = keras.optimizers.AdamW(**shared)
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
