"""Schedules by hand-checked values."""

import keras
import numpy as np
import pytest

from stfn_keras.config import StageConfig
from stfn_keras.training.optimizers import StageSchedule, make_optimizer


def rates(schedule, *steps):
    return [float(schedule(step)) for step in steps]


def test_step_schedule_divides_by_ten_at_each_milestone():
    schedule = StageSchedule(1.0, "step", 100, 0, (30, 60))
    np.testing.assert_allclose(
        rates(schedule, 0, 29, 30, 59, 60), [1, 1, 0.1, 0.1, 0.01]
    )


def test_cosine_goes_from_the_rate_to_zero():
    schedule = StageSchedule(2.0, "cosine", 100)
    np.testing.assert_allclose(rates(schedule, 0, 50, 100), [2, 1, 0], atol=1e-6)


def test_warmup_is_linear_and_then_over():
    schedule = StageSchedule(1.0, "constant", 100, 4)
    np.testing.assert_allclose(rates(schedule, 0, 1, 3, 4, 99), [0.25, 0.5, 1, 1, 1])


def test_round_trip():
    schedule = StageSchedule(0.1, "step", 100, 5, (30,))
    again = StageSchedule.from_config(schedule.get_config())
    assert rates(again, 0, 10, 40) == rates(schedule, 0, 10, 40)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_biases_and_normalisation_are_not_decayed(name):
    """At rate 1 and gradient 0 a decay of 0.1 takes a tenth of the kernel alone."""
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
    )
    config = StageConfig(optimizer=name, rate=1.0, weight_decay=0.1, epochs=1)
    optimizer = make_optimizer(config, steps_per_epoch=1)
    weights = model.trainable_variables
    for weight in weights:
        weight.assign(np.ones(weight.shape))
    optimizer.build(weights)
    optimizer.apply([np.zeros(w.shape, "float32") for w in weights])
    values = {w.name: float(np.mean(w)) for w in weights}
    assert values.pop("kernel") == pytest.approx(0.9)
    assert values == {"bias": 1.0, "gamma": 1.0, "beta": 1.0}


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_epochs_become_steps(name):
    config = StageConfig(
        optimizer=name, rate=1.0, epochs=3, milestones=(2,), warmup=0.0
    )
    optimizer = make_optimizer(config, steps_per_epoch=10)
    schedule = optimizer._learning_rate
    np.testing.assert_allclose(rates(schedule, 19, 20), [1.0, 0.1])
    assert type(optimizer).__name__.lower() == name
