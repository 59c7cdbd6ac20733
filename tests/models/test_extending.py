"""The page about a network of one's own, as it is printed."""

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from stfn_keras.config import NETWORKS, ModelConfig, networks
from stfn_keras.models import build, build_head, copy_by_name

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture
def added(monkeypatch):
    """The page's network, registered as the page says, for one test."""
    file, line = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    entry = eval("{" + line + "}", vars(networks))  # noqa: S307
    ((name, network),) = entry.items()
    module = types.ModuleType(network.module)
    exec(file, vars(module))  # noqa: S102
    monkeypatch.setitem(sys.modules, network.module, module)
    monkeypatch.setitem(NETWORKS, name, network)
    return name


def test_the_page_adds_a_network(added):
    config = ModelConfig(
        network=added, tower="tiny", segments=3, rgb_size=16, flow_size=16, pairs=2
    )
    network = build(config, 4)
    random = np.random.default_rng(0)
    shapes = {"rgb": (2, 3, 16, 16, 3), "flow": (2, 3, 16, 16, 4)}
    views = {s: random.integers(0, 256, x, "uint8") for s, x in shapes.items()}
    found = network(views)
    assert found["scores"].shape == (2, 4)

    head = build_head(config, 4, 128)
    copied = sorted(copy_by_name(network, head))
    assert copied == ["flow_logits", "rgb_logits"]
    features = random.normal(size=(1, 3, 128)).astype("float32")
    inputs = {"rgb_features": features, "flow_features": features}
    steps = np.abs(np.diff(features, axis=1, prepend=features[:, :1])).max(axis=1)
    kernel, bias = head.get_layer("rgb_logits").get_weights()
    np.testing.assert_allclose(
        head(inputs)["rgb_logits"], steps @ kernel + bias, rtol=1e-4, atol=1e-5
    )
