"""LiteRT files: the same scores, built-in operators alone, any batch."""

import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.errors import UserError
from stfn_keras.exporting.formats import FORMATS, convert
from stfn_keras.serving.runtimes.open import load_runtime

pytest.importorskip("ai_edge_litert", reason="the extra [litert]")


def converted(saved, out, kind):
    name = f"litert_{kind}"
    samples = ({s: v[i : i + 1] for s, v in saved.views.items()} for i in range(3))
    path = convert(name, saved.folder, out, samples if kind == "int8" else None)
    assert path == FORMATS[name].path(out)
    return load_runtime(out, name, threads=1), path


@pytest.mark.parametrize(
    ("kind", "tolerance", "ratio"),  # bytes against four for each weight
    [("float32", 1e-5, 1.3), ("float16", 1e-2, 0.75), ("dynamic", 0.05, 0.6),
     ("int8", 0.05, 0.6)],
)  # fmt: skip
def test_each_kind_gives_the_networks_scores(saved, tmp_path, kind, tolerance, ratio):
    runtime, path = converted(saved, tmp_path, kind)
    found = runtime.predict(saved.views)
    assert (runtime.segments, set(runtime.inputs)) == (3, {"rgb", "flow"})
    assert found["scores"].dtype == found["logits"].dtype == np.float32
    np.testing.assert_allclose(found["scores"], saved.found["scores"], atol=tolerance)
    np.testing.assert_allclose(found["scores"].sum(axis=1), 1, atol=1e-3)
    assert path.stat().st_size < ratio * 4 * saved.parameters + 60_000
    # In int8 a softmax has steps of 1/256, above most scores of many classes.
    steps = found["scores"] * 256
    assert np.abs(steps - steps.round()).max() > 0.01
    one = {stream: view[1:2] for stream, view in saved.views.items()}
    np.testing.assert_array_equal(runtime.predict(one)["scores"], found["scores"][1:2])


@pytest.mark.parametrize("calibration", [None, ()])
def test_int8_needs_snippets(saved, tmp_path, calibration):
    with pytest.raises(UserError, match="int8 needs snippets of training videos"):
        convert("litert_int8", saved.folder, tmp_path, calibration)


def test_an_operator_that_is_not_built_in_is_named(tmp_path):
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "rgb")])
    def call(rgb):
        return {"scores": tf.math.digamma(rgb)}

    tf.saved_model.save(module, tmp_path, {"serving_default": call})
    with pytest.raises(UserError, match="built into LiteRT. Received: Digamma"):
        convert("litert_float32", tmp_path, tmp_path)
    assert not list(tmp_path.glob("**/*.tflite"))
