"""A missing backend and a card left idle are named in a line."""

import importlib.util

import pytest

from stfn_keras import accelerators, quiet
from stfn_keras.errors import UserError


def without(monkeypatch, *packages):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name in packages else found(name, *rest),
    )


def test_a_backend_that_is_not_installed_is_refused_with_what_to_install(monkeypatch):
    without(monkeypatch, "jax")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UserError, match=r"Received: .*\.\[jax-gpu\]"):
        quiet.import_keras_quietly()


def test_an_installed_backend_lacks_nothing():
    assert not accelerators.missing_backend("tensorflow")
    assert not accelerators.missing_backend("")


def test_a_card_is_seen_unless_it_is_hidden(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert not accelerators.has_card(tmp_path)
    (tmp_path / "nvidiactl").touch()  # there without any card
    assert not accelerators.has_card(tmp_path)
    (tmp_path / "nvidia0").touch()
    assert accelerators.has_card(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert not accelerators.has_card(tmp_path)


@pytest.mark.parametrize(
    ("backend", "extra"), [("tensorflow", "gpu"), ("jax", "jax-gpu")]
)
def test_a_card_that_the_backend_cannot_use_is_named(monkeypatch, backend, extra):
    import tensorflow as tf

    hidden = []
    monkeypatch.setattr(accelerators, "has_card", lambda: True)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(
        tf.config, "set_visible_devices", lambda devices, kind: hidden.append(kind)
    )
    without(monkeypatch, *accelerators.JAX_PLUGINS)
    assert f"'.[{extra}]'" in accelerators.prepare_card(backend)
    # Else TensorFlow's input pipeline would take the card's memory from JAX.
    assert hidden == (["GPU"] if backend == "jax" else [])


def test_a_card_that_is_used_needs_no_note(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(accelerators, "has_card", lambda: True)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["card"])
    assert accelerators.prepare_card("tensorflow") == ""
