"""How a format is judged: by its scores where it may, by its accuracy where it must."""

import dataclasses

import numpy as np
import pytest

from stfn_keras.data.index import Indexed, read_index
from stfn_keras.errors import UserError
from stfn_keras.exporting.calibration import calibration_views, spread
from stfn_keras.exporting.options import ExportConfig
from stfn_keras.exporting.parity import Reference, compared
from stfn_keras.exporting.table import text_table
from stfn_keras.serving.formats import FORMATS

SCORES = np.float32([[0.6, 0.4], [0.3, 0.7], [0.9, 0.1], [0.2, 0.8]])
REFERENCE = Reference(SCORES, np.array([0, 1, 0, 0]))  # accuracy 3/4


def judged(name, scores, max_drop=0.01, reference=REFERENCE):
    return compared(np.float32(scores), reference, FORMATS[name], max_drop)


@pytest.mark.parametrize(
    ("name", "apart", "passes"),
    [
        ("saved_model", 0.5e-5, True),
        ("saved_model", 2e-5, False),
        ("onnx", 0.5e-4, True),
        ("onnx", 2e-4, False),
        ("openvino", 2e-4, False),
        ("litert_float32", 2e-4, False),
        ("litert_float16", 2e-2, True),
        ("litert_float16", 6e-2, False),
        ("litert_dynamic", 0.7, True),
        ("litert_dynamic", 0.8, False),
        ("litert_int8", 0.6, True),
        ("litert_int8", 1.0, False),
    ],
)
def test_tolerances_on_softmax_scores(name, apart, passes):
    reference = Reference(SCORES, (SCORES + [[apart, -apart]]).argmax(axis=1))
    row = judged(name, SCORES + np.float32([[apart, -apart]]), 1.0, reference)
    assert row["passed"] is passes
    assert row["max_abs_diff"] == pytest.approx(apart, rel=0.02)
    assert ("reason" in row) is not passes


def test_reduced_formats_may_lose_max_drop_of_accuracy():
    flipped = SCORES.copy()
    flipped[0] = 0.4, 0.6  # one of four: 3/4 becomes 2/4
    row = judged("litert_int8", flipped)
    assert (row["accuracy"], row["top1_agreement"]) == (0.5, 0.75)
    assert not row["passed"]
    assert "a loss of 25.00%, 1 of 4 videos" in row["reason"]
    assert judged("litert_int8", flipped, max_drop=0.25)["passed"]
    better = SCORES.copy()
    better[3] = 0.8, 0.2
    assert judged("litert_dynamic", better)["passed"]


def test_on_made_up_videos_agreement_stands_in_for_accuracy():
    made_up = dataclasses.replace(REFERENCE, made_up=True)
    flipped = SCORES.copy()
    flipped[3] = 0.6, 0.4
    row = judged("litert_dynamic", flipped, reference=made_up)
    assert row["accuracy"] is None
    assert row["made_up"]
    assert not row["passed"]
    assert judged("litert_dynamic", SCORES, reference=made_up)["passed"]


@pytest.mark.parametrize("name", ["saved_model", "litert_int8"])
def test_scores_that_are_no_numbers_are_refused(name):
    row = judged(name, np.where(SCORES > 0.8, np.nan, SCORES), max_drop=1.0)
    assert not row["passed"]
    assert row["max_abs_diff"] is None  # NaN is no JSON


def test_the_formats_that_a_flag_names():
    assert ExportConfig().formats == ("saved_model",)
    assert ExportConfig(formats=("onnx", "litert")).formats == (
        "saved_model", "litert_float32", "onnx",
    )  # fmt: skip
    assert ExportConfig(formats=("all",)).formats == tuple(FORMATS)
    with pytest.raises(UserError, match="must be one of saved_model, .* 'coreml'"):
        ExportConfig(formats=("coreml",))
    for wrong in (-1.0, 3.0, float("nan")):
        with pytest.raises(UserError, match=r"--max_drop must be in 0..1; 0.03 is"):
            ExportConfig(max_drop=wrong)


def test_the_table_says_why_formats_are_refused():
    parity = {
        "saved_model": {"passed": True, "bytes": 2_500_000, "max_abs_diff": 3e-8,
                        "top1_agreement": 1.0, "accuracy": None, "latency_ms": 12.34},
        "onnx": {"passed": False, "reason": "no operator Foo"},
    }  # fmt: skip
    head, first, second, reason = text_table(parity).splitlines()
    assert head.split() == "format MB max diff agreement % accuracy % ms".split()
    assert first.split() == ["saved_model", "2.50", "3.0e-08", "100.00", "–", "12.3"]
    assert second.split() == ["onnx", *"–––––"]
    assert reason == "refused: onnx: no operator Foo"
    assert len({len(head), len(first), len(second)}) == 1


def video(number, label):
    return Indexed(f"{number:02d}.avi", label, "", "r", "s", number, 1, 25.0, 8, 8)


def test_calibration_is_spread_over_the_classes():
    videos = [video(n, "abc"[n % 3]) for n in range(30)]
    chosen = spread(videos, 6)
    assert [v.label for v in chosen] == ["a", "a", "b", "b", "c", "c"]
    assert len({v.path for v in spread(videos, 29)}) == 29
    assert len(spread(videos, 100)) == 30


def test_calibration_reads_training_videos_alone(trained):
    folder, manifest = trained.manifest()
    sizes = {"rgb": 16, "flow": 16}
    seen = list(calibration_views(trained, folder, manifest, sizes, 64))
    assert len(seen) == sum(row.roles == "r" for row in read_index(folder))
    few = list(calibration_views(trained, folder, manifest, sizes, 4))
    assert len(few) == 4
    assert few[0]["rgb"].shape == (1, 3, 16, 16, 3)
    assert few[0]["flow"].shape == (1, 3, 16, 16, 4)
    assert few[0]["flow"].dtype == np.uint8
    # Half of them of each class, which differ in the direction of motion.
    assert sorted(int(v["flow"][..., 0].mean() > 128) for v in few) == [0, 0, 1, 1]
