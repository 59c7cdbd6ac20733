"""Publishing: a version is there as a whole or not at all; what warms it up is real."""

import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.errors import UserError
from stfn_keras.exporting.version import next_version, published
from stfn_keras.serving.runtimes.saved_model import SavedModelRuntime


def test_what_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), published(tmp_path / "1") as aside:
        (aside / "half").write_text("x")
        assert not (tmp_path / "1").exists()
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_two_exports_at_once_never_write_over_each_other(tmp_path):
    folder = tmp_path / str(next_version(tmp_path))
    with pytest.raises(UserError, match="meanwhile"), published(folder) as aside:
        (aside / "mine").write_text("x")
        folder.mkdir()
        (folder / "theirs").write_text("x")
    assert [p.name for p in folder.iterdir()] == ["theirs"]
    assert [p.name for p in tmp_path.iterdir()] == ["1"]


def test_the_warm_up_requests_are_tf_servings_and_are_answered(exported):
    log = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2",
        reason="tensorflow-serving-api is not installed",
    )
    path = exported / "assets.extra" / "tf_serving_warmup_requests"
    assert path.stat().st_size < 20_000
    signatures = SavedModelRuntime(exported / "saved_model.pb").signatures
    seen = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = log.PredictionLog.FromString(record).predict_log.request
        seen.append(request.model_spec.signature_name)
        assert request.model_spec.name == "stfn"
        inputs = {
            name: tf.constant(tf.make_ndarray(proto))
            for name, proto in request.inputs.items()
        }
        found = signatures[seen[-1]](**inputs)
        assert all(len(value) == 1 for value in found.values())
        if "scores" in found:
            assert np.isfinite(found["scores"]).all()
    assert sorted(seen) == ["features", "fuse", "serve_jpeg", "serving_default"]
