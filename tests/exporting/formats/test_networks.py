"""Every kind of network and tower converts, with the scores that it had."""

import subprocess
import sys

import numpy as np
import pytest
from small_resnet import use_one_stage

from stfn_keras.config import MOTIONS
from stfn_keras.errors import UserError
from stfn_keras.exporting.formats import convert
from stfn_keras.serving import formats
from stfn_keras.serving.runtimes.open import load_runtime

FLOAT32 = ("litert_float32", "openvino", "onnx")
for module in ("ai_edge_litert", "openvino", "tf2onnx"):
    pytest.importorskip(module, reason="the extras [litert], [openvino] and [onnx]")


def same_scores(saved, out, names):
    for name in names:
        convert(name, saved.folder, out)
        found = load_runtime(out, name, threads=1).predict(saved.views)["scores"]
        np.testing.assert_allclose(
            found, saved.found["scores"], atol=1e-5, err_msg=name
        )


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"network": "spatial"}, FLOAT32),
        ({"network": "temporal"}, FLOAT32[:2]),
        ({"network": "late_fusion", "combination": "softmax"}, FLOAT32),
        ({"network": "feature_fusion", "fusion": "maximum", "aggregate": "attention",
          "feature_norm": "layer", "position": True}, FLOAT32),
        ({"temporal": "mlp", "direction": "uni", "fusion": "multiply",
          "residual": "own", "aggregate": "max"}, FLOAT32[:2]),
        ({"network": "four_stream", "frames": 3}, FLOAT32),
        ({"network": "late_fusion", "modalities": ("rgb", "difference"), "frames": 3},
         FLOAT32),
    ],
)  # fmt: skip
def test_networks(saved_by, tmp_path, changes, names):
    same_scores(saved_by(**changes), tmp_path, names)


@pytest.mark.slow
@pytest.mark.parametrize("motion", MOTIONS[1:])
def test_lifts(saved_by, tmp_path, monkeypatch, motion):
    use_one_stage(monkeypatch)
    saved = saved_by(
        tower="resnet50", rgb_size=16, frames=3, rgb_motion=motion,
        feature_motion=motion,
    )  # fmt: skip
    same_scores(saved, tmp_path, FLOAT32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tower", "names"),
    [
        ("mobilenet_v2", FLOAT32[:1]),  # depth-wise convolutions, ReLU6
        ("convnext_tiny", ("litert_float32", "onnx")),  # layer normalisation, GELU
    ],
)
def test_towers(saved_by, tmp_path, tower, names):
    saved = saved_by(network="spatial", tower=tower, rgb_size=64, segments=1)
    same_scores(saved, tmp_path, names)


def test_runtimes_need_no_tensorflow(saved, onnx_file, tmp_path):
    folder = onnx_file.parents[1]
    for name in FLOAT32[:2]:
        convert(name, saved.folder, folder)
    np.savez(tmp_path / "views.npz", **saved.views)
    code = """
import sys, numpy as np
from pathlib import Path
from stfn_keras.serving.runtimes.open import load_runtime
views = dict(np.load(sys.argv[2]))
for name in sys.argv[3:]:
    assert load_runtime(Path(sys.argv[1]), name, 1).predict(views)["scores"].shape
print(sorted({"tensorflow", "keras"} & set(sys.modules)))
"""
    arguments = [str(folder), str(tmp_path / "views.npz"), *FLOAT32]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [n for n, f in formats.FORMATS.items() if f.extra])
def test_a_missing_package_is_named_with_its_extra(name, monkeypatch, tmp_path):
    known = formats.FORMATS[name]
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=known.modules[0]) as refused:
        convert(name, tmp_path, tmp_path)
    assert f"pip install '.[{known.extra}]'" in str(refused.value)
