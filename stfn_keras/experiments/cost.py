"""What finished networks cost: weights, operations, training, time per video.

cost = cost_of(Run.open(folder))
cost.gflops                              # of one view of a video
milliseconds({"STFN": run, "TSN": other})  # taken in turns, in this process
"""

import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from stfn_keras import models
from stfn_keras.errors import UserError
from stfn_keras.training import history
from stfn_keras.training.checks import needed_stages, towers_run
from stfn_keras.training.finished import network_digest
from stfn_keras.training.run import Run

ROUNDS = 15  # of timing, after one that is not counted


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: Weights, those of normalisation statistics included.
        gflops: Floating-point operations, in 1e9, of one view of T segments; a
            multiply-add counts as two.
        minutes: Of the epochs of its stages and of its towers' ones, whoever trained
            them; computing and caching features is not among them.
    """

    parameters: int
    gflops: float
    minutes: float


def check_backend() -> None:
    """Refuse to count and time what TensorFlow does not compute.

    Raises:
        UserError: Keras computes with another backend.
    """
    if (backend := keras.backend.backend()) != "tensorflow":
        raise UserError(
            "counting what networks cost needs KERAS_BACKEND=tensorflow, whatever "
            f"backend the runs were trained with. Received: {backend}"
        )


def cost_of(run: Run) -> Cost:
    """Count what a finished run's network costs.

    Raises:
        UserError: The run is not finished, or its towers' run is not there.
    """
    network_digest(run)  # raises if it is not finished
    network = models.build(run.model, len(run.labels))
    return Cost(network.count_params(), operations(network) / 1e9, _minutes(run))


def operations(network: keras.Model) -> int:
    """Floating-point operations of one video, as TensorFlow counts them.

    They are those of its graph in inference, a multiply-add counted as two.

    Args:
        network: From `models.build`.
    """
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    graph = _classify(network).get_concrete_function(_one(network)).graph
    return int(profiler.profile(graph, options=options).total_float_ops)


def milliseconds(runs: Mapping[str, Run], rounds: int = ROUNDS) -> dict[str, float]:
    """Median time of each network's forward pass of one video, from its pixels on.

    They take turns, a video each, so that whatever else the machine does befalls all.

    Args:
        runs: By name; the weights do not matter, nor are they read.
        rounds: How many videos each is given.
    """
    calls: dict[str, tuple[Callable, dict]] = {}
    for name, run in runs.items():
        network = models.build(run.model, len(run.labels))
        calls[name] = _classify(network), _one(network)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn, name in itertools.product(range(rounds + 1), calls):
        call, inputs = calls[name]
        start = time.perf_counter()
        call(inputs).numpy()
        if turn:  # the first traces the graph
            times[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(taken) for name, taken in times.items()}


def _classify(network: keras.Model) -> Any:
    @tf.function(autograph=False)
    def classify(inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        return network(inputs, training=False)["scores"]

    return classify


def _one(network: keras.Model) -> dict[str, tf.Tensor]:
    """One video of noise."""
    draws = np.random.default_rng(0)
    return {
        name: tf.constant(draws.integers(1, 256, (1, *tensor.shape[1:]), "uint8"))
        for name, tensor in network.input.items()
    }


def _minutes(run: Run) -> float:
    stages = {*needed_stages(run.model), "end_to_end"}
    towers = towers_run(run)
    seconds = 0.0
    for owner in {run.folder: run, towers.folder: towers}.values():
        rows = history.read(owner.folder / "history.csv")
        of_owner = stages if owner is run else set(run.model.streams)
        if "seconds" in rows:  # a network of taken towers alone has no history
            seconds += float(rows.loc[rows["stage"].isin(of_owner), "seconds"].sum())
    return seconds / 60
