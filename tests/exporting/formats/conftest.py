"""SavedModels of tiny networks that nobody trained, and what those networks say."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

CLASSES = ("a", "b", "c", "d", "e")


class Saved(NamedTuple):
    """A SavedModel, and the scores of the network in it."""

    folder: Path
    views: dict
    found: dict
    parameters: int


@pytest.fixture(scope="session")
def saved_by(tmp_path_factory):
    """Save a network of given settings; its weights and views are random."""
    import keras
    from conftest import small_model

    from stfn_keras.exporting.saved_model import ServingModule
    from stfn_keras.models import build

    def save(**changes):
        network = build(small_model(**changes), len(CLASSES))
        draws = np.random.default_rng(0)
        for variable in network.variables:  # no normalisation is the identity
            kind = variable.path.rsplit("/", 1)[-1]
            shape = variable.shape
            if kind in ("gamma", "moving_variance"):
                variable.assign(draws.uniform(0.5, 1.5, shape))
            elif kind in ("beta", "bias", "moving_mean", "position"):
                variable.assign(draws.normal(0, 0.1, shape))
            else:
                width = max(1, int(np.prod(shape[:-1])))
                variable.assign(draws.normal(0, (2 / width) ** 0.5, shape))
        folder = tmp_path_factory.mktemp("saved")
        ServingModule(network, CLASSES).save(folder)
        views = {
            stream: draws.integers(0, 256, (3, *tensor.shape[1:]), dtype=np.uint8)
            for stream, tensor in network.input.items()
        }
        found = {k: np.asarray(v) for k, v in network(views, training=False).items()}
        parameters = network.count_params()
        keras.utils.clear_session()
        return Saved(folder, views, found, parameters)

    return save


@pytest.fixture(scope="session")
def saved(saved_by):
    """The STFN with two streams of unlike sizes."""
    return saved_by(flow_size=32)


@pytest.fixture(scope="session")
def onnx_file(saved, tmp_path_factory):
    """The STFN's ONNX file."""
    pytest.importorskip("tf2onnx", reason="the extra [onnx]")
    from stfn_keras.exporting.formats import convert

    return convert("onnx", saved.folder, tmp_path_factory.mktemp("onnx"))
