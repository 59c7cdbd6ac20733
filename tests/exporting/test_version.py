"""Publishing: a version is there as a whole or not at all; what warms it up is real."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.errors import UserError
from stfn_keras.exporting.version import next_version, published
from stfn_keras.serving.folder import newest_version
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


def test_a_killed_exports_leftover_is_removed_and_a_running_ones_is_not(tmp_path):
    left = tmp_path / f".partial-{os.getpid()}-1"  # of a process of the same number
    (left / "variables").mkdir(parents=True)
    with published(tmp_path / "1") as running:
        (running / "mine").write_text("x")
        assert not left.exists()
        with published(tmp_path / "2") as other:
            (other / "theirs").write_text("x")
    assert {p.name for p in tmp_path.iterdir()} == {"1", "2"}
    assert (tmp_path / "1" / "mine").is_file()


def test_what_another_process_writes_survives(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from stfn_keras.exporting.version import published\n"
        "with published(Path(sys.argv[1])) as aside:\n"
        "    print(aside, flush=True)\n"
        "    sys.stdin.readline()\n"
        "    (aside / 'whole').touch()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "1")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        aside = Path(other.stdout.readline().strip())
        with published(tmp_path / "2"):
            assert aside.is_dir()
        other.communicate("\n")
    assert (tmp_path / "1" / "whole").is_file()


def test_the_mode_lets_others_read(tmp_path):
    (tmp_path / "usual").mkdir()
    with published(tmp_path / "1"):
        pass
    assert (tmp_path / "1").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("name", ["²", "٣", "1a"])
def test_only_plain_digits_are_a_version(tmp_path, name):
    for version in (name, "2"):
        (tmp_path / version / "assets.extra").mkdir(parents=True)
        (tmp_path / version / "assets.extra" / "config.json").write_text("{}")
    assert newest_version(tmp_path).name == "2"
    with pytest.raises(UserError, match=f"holds {name}; nothing was changed"):
        next_version(tmp_path)


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
