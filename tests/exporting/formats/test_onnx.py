"""ONNX files: the same scores, any batch, each weight once, as TensorRT takes them."""

import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.errors import UserError
from stfn_keras.exporting.formats import convert
from stfn_keras.serving.runtimes.open import load_runtime

onnx = pytest.importorskip("onnx", reason="the extra [onnx]")
pytest.importorskip("onnxruntime", reason="the extra [onnx]")


def test_gives_the_networks_scores_for_any_batch(saved, onnx_file):
    runtime = load_runtime(onnx_file.parents[1], "onnx", threads=1)
    found = runtime.predict(saved.views)
    for key in ("scores", "logits"):
        np.testing.assert_allclose(found[key], saved.found[key], atol=1e-5)
    one = {stream: view[1:2] for stream, view in saved.views.items()}
    alone = runtime.predict(one)["scores"]
    np.testing.assert_allclose(alone, found["scores"][1:2], atol=1e-6)


def test_inputs_outputs_and_weights(saved, onnx_file):
    graph = onnx.load(onnx_file).graph
    shapes = {
        tensor.name: [
            d.dim_param or d.dim_value for d in tensor.type.tensor_type.shape.dim
        ]
        for tensor in (*graph.input, *graph.output)
    }
    assert shapes == {
        "rgb": ["batch", 3, 16, 16, 3], "flow": ["batch", 3, 32, 32, 4],
        "scores": ["batch", 5], "logits": ["batch", 5],
    }  # fmt: skip
    assert onnx_file.stat().st_size < 4.4 * saved.parameters + 60_000


def test_pixels_are_cast_before_all_else_and_turned_once(onnx_file):
    """TensorRT lets a cast alone read uint8; a transpose per layer would be slow."""
    graph = onnx.load(onnx_file).graph
    for tensor in graph.input:
        readers = [node.op_type for node in graph.node if tensor.name in node.input]
        assert readers == ["Cast"]
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Transpose") < kinds.count("Conv") / 2
    assert "BatchNormalization" not in kinds


def test_streams_that_read_one_input_share_its_cast(saved_by, tmp_path):
    """Guards slices of frames in uint8, which TensorRT refuses."""
    saved = saved_by(network="four_stream", frames=3)
    graph = onnx.load(convert("onnx", saved.folder, tmp_path)).graph
    for tensor in graph.input:
        readers = [node.op_type for node in graph.node if tensor.name in node.input]
        assert readers == ["Cast"]


def test_an_operator_that_onnx_lacks_is_named(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "rgb")])
    def call(rgb):
        return {"scores": tf.math.digamma(rgb)}

    tf.saved_model.save(tf.Module(), tmp_path, {"serving_default": call})
    with pytest.raises(UserError, match="every operator. Received: Digamma"):
        convert("onnx", tmp_path, tmp_path)
    assert not list(tmp_path.glob("**/*.onnx"))
