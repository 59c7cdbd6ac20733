"""Schedules and optimisers by hand-checked values."""

import keras
import numpy as np
import pytest

from stfn_keras.config import StageConfig
from stfn_keras.training.optimizers import (
    StageSchedule,
    exchange_averages,
    make_optimizer,
)


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


def stepped(gradient, **settings):
    """Weights of a model of ones after one step at rate 1, and the optimiser."""
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
    )
    optimizer = make_optimizer(StageConfig(rate=1.0, epochs=1, **settings), 1)
    weights = model.trainable_variables
    for weight in weights:
        weight.assign(np.ones(weight.shape))
    optimizer.build(weights)
    optimizer.apply([np.full(w.shape, gradient, "float32") for w in weights])
    return {w.name: float(np.mean(w)) for w in weights}


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_biases_and_normalisation_are_not_decayed(name):
    """At rate 1 and gradient 0 a decay of 0.1 takes a tenth of the kernel alone."""
    values = stepped(0.0, optimizer=name, weight_decay=0.1)
    assert values.pop("kernel") == pytest.approx(0.9)
    assert values == {"bias": 1.0, "gamma": 1.0, "beta": 1.0}


def test_adams_penalty_is_a_gradient():
    """Adam's step has the size of the rate, whatever the gradient's."""
    values = stepped(0.0, optimizer="adam", weight_decay=0.1)
    assert values.pop("kernel") == pytest.approx(0.0, abs=1e-4)
    assert values == {"bias": 1.0, "gamma": 1.0, "beta": 1.0}


def test_the_penalty_is_added_after_clipping():
    """A gradient of norm 1 after clipping, plus 0.5 times the weight."""
    values = stepped(100.0, optimizer="sgd", weight_decay=0.5, clip_norm=1.0)
    elements = 4 + 2 + 2 + 2
    assert values["kernel"] == pytest.approx(1 - 1 / elements**0.5 - 0.5)
    assert values["bias"] == pytest.approx(1 - 1 / elements**0.5)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_variable_may_have_its_own_rate(name):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    kernel, bias = model.trainable_variables
    optimizer = make_optimizer(
        StageConfig(optimizer=name, rate=0.1, epochs=1), 1, {kernel.path: 5.0}
    )
    before = [np.array(v) for v in (kernel, bias)]
    optimizer.build([kernel, bias])
    optimizer.apply([np.ones(v.shape, "float32") for v in (kernel, bias)])
    moved = [b - np.array(v) for b, v in zip(before, (kernel, bias), strict=True)]
    np.testing.assert_allclose(moved[0].item(), 0.5, rtol=1e-4)
    np.testing.assert_allclose(moved[1].item(), 0.1, rtol=1e-4)


def test_fit_leaves_the_weights_and_keeps_their_averages_apart():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    config = StageConfig(optimizer="sgd", rate=0.1, epochs=1, ema=0.5)
    optimizer = make_optimizer(config, 4)
    model.compile(optimizer, "mse")
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(np.array(model.weights[0]))
    )
    x, y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
    model.fit(x, y, batch_size=2, verbose=0, shuffle=False, callbacks=[watch])
    average = seen[0]
    for step, weight in enumerate(seen[1:], 1):
        momentum = min(0.5, step / (10 + step))  # it grows over the first steps
        average = momentum * average + (1 - momentum) * weight
    np.testing.assert_array_equal(model.weights[0], seen[-1])
    exchange_averages(model, optimizer)
    np.testing.assert_allclose(model.weights[0], average, rtol=1e-5)
    exchange_averages(model, optimizer)
    np.testing.assert_array_equal(model.weights[0], seen[-1])


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_epochs_become_steps(name):
    config = StageConfig(
        optimizer=name, rate=1.0, epochs=3, milestones=(2,), warmup=0.0
    )
    optimizer = make_optimizer(config, steps_per_epoch=10)
    schedule = optimizer._learning_rate
    np.testing.assert_allclose(rates(schedule, 19, 20), [1.0, 0.1])
    assert type(optimizer).__name__.lower() == f"stage{name}"
