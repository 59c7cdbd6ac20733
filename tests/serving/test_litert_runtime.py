"""LiteRT's runtime, on a file of a few operations."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="needs the extra [litert]")

from stfn_keras.serving.runtimes.litert import LiteRTRuntime


def test_opening_and_predicting_print_nothing(tmp_path, capfd):
    """XNNPACK tells that it was made when the first tensors are allocated."""
    import tensorflow as tf

    class Network(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 2, 4, 4, 3), tf.uint8)])
        def serve(self, rgb):
            logits = tf.reduce_mean(tf.cast(rgb, tf.float32), [1, 2, 3])
            return {"scores": tf.nn.softmax(logits), "logits": logits}

    network = Network()
    tf.saved_model.save(
        network, str(tmp_path / "saved"), {"serving_default": network.serve}
    )
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    (tmp_path / "tiny.tflite").write_bytes(converter.convert())
    capfd.readouterr()
    runtime = LiteRTRuntime(tmp_path / "tiny.tflite")
    found = runtime.predict({"rgb": np.zeros((2, 2, 4, 4, 3), np.uint8)})
    np.testing.assert_allclose(found["scores"], np.full((2, 3), 1 / 3), atol=1e-6)
    assert capfd.readouterr() == ("", "")
