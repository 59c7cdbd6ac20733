"""Presets give the right motion, and the 8-bit code is exact where it must be."""

import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.video import flow

QUICK = ("dis", "dis_fine", "tvl1_fast", "deepflow", "warped_dis")
PLAIN = tuple(n for n, preset in flow.FLOW_PRESETS.items() if not preset.warped)


@pytest.fixture(scope="module")
def texture() -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 255, (96, 112), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2.0)


def moved(texture: np.ndarray, right: int, down: int) -> tuple[np.ndarray, np.ndarray]:
    """Two frames of 64 x 80, of which the second shows the texture moved."""
    first = texture[16:80, 16:96]
    second = texture[16 - down : 80 - down, 16 - right : 96 - right]
    return np.ascontiguousarray(first), np.ascontiguousarray(second)


@pytest.mark.parametrize("preset", PLAIN)
@pytest.mark.parametrize(("right", "down"), [(3, 0), (-2, 1)])
def test_known_translation(texture, preset, right, down):
    field = flow.compute(preset, *moved(texture, right, down))
    assert field.dtype == np.float32
    assert field.shape == (64, 80, 2)
    inside = field[12:-12, 12:-12]
    np.testing.assert_allclose(
        np.median(inside, (0, 1)), (right, down), atol=0.15, err_msg=preset
    )


@pytest.mark.parametrize("preset", flow.FLOW_PRESETS)
def test_no_motion_is_exactly_128(texture, preset):
    """Guards against a code that truncates: zero decoded to -0.078 px."""
    still, _ = moved(texture, 0, 0)
    assert (flow.quantise(flow.compute(preset, still, still)) == 128).all()


@pytest.mark.parametrize("preset", QUICK)
def test_order_does_not_matter(texture, preset):
    """One algorithm object is reused; DIS kept a scale it chose for a small frame."""
    one, other = moved(texture, 3, 0), moved(texture, -4, 2)
    first = flow.compute(preset, *one)
    for shape in ((64, 80), (16, 16), (16, 80), (40, 17)):
        flow.compute(preset, *(np.resize(frame, shape) for frame in other))
        np.testing.assert_array_equal(flow.compute(preset, *one), first)


def test_threads_are_as_they_were(texture):
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        flow.compute("dis", *moved(texture, 1, 0))
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("shape", [(15, 80), (80, 15), (8, 8)])
def test_frames_too_small_are_refused(shape):
    """Guards against DIS, which ends the process at 8 x 60."""
    frame = np.zeros(shape, np.uint8)
    with pytest.raises(UserError, match="16 x 16"):
        flow.compute("dis", frame, frame)


@pytest.mark.parametrize("preset", QUICK)
@pytest.mark.parametrize("shape", [(16, 16), (16, 200), (200, 16)])
def test_smallest_frames(preset, shape):
    frame = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    assert np.isfinite(flow.compute(preset, frame, frame[::-1].copy())).all()


def test_threads_do_not_share_an_algorithm(texture):
    """Guards against OpenCV's objects, which keep buffers between calls."""
    frames = [moved(texture, right, down) for right in range(4) for down in range(4)]
    frames += [(a[:32].copy(), b[:32].copy()) for a, b in frames]
    alone = [flow.compute("dis", *pair) for pair in frames]
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda pair: flow.compute("dis", *pair), frames))
    for expected, received in zip(alone, beside, strict=True):
        np.testing.assert_array_equal(expected, received)


def test_frames_of_two_sizes_are_refused():
    with pytest.raises(UserError, match="one size"):
        flow.compute("dis", np.zeros((32, 32), np.uint8), np.zeros((32, 40), np.uint8))


def test_presets_state_every_parameter_that_can_be_set():
    """Guards against resting on a library's defaults."""
    for preset in (flow.FLOW_PRESETS[name] for name in PLAIN):
        algorithm = flow._algorithm(preset.name)
        settable = {name[3:] for name in dir(algorithm) if name.startswith("set")}
        # Warm starts would make a result depend on order.
        stated = set(preset.parameters)
        if not hasattr(cv2.DISOpticalFlow, "setCoarsestScale"):  # before OpenCV 4.12
            stated -= {"CoarsestScale"}
        assert settable - {"UseInitialFlow"} == stated


def test_parameters_are_opencvs_own(texture):
    """Guards against a preset that is not what its name says."""
    tvl1 = cv2.optflow.createOptFlow_DualTVL1()
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for name, original in (("tvl1", tvl1), ("dis", dis)):
        for parameter, value in flow.FLOW_PRESETS[name].parameters.items():
            if not hasattr(original, f"get{parameter}"):
                assert cv2.__version__ < "4.12", parameter
                continue
            default = getattr(original, f"get{parameter}")()
            assert default == pytest.approx(value), parameter
        frames = moved(texture, 2, 1)
        expected = original.calc(*frames, None)
        np.testing.assert_array_equal(flow.compute(name, *frames), expected)


def test_every_preset_has_a_warped_one():
    warped = {f"warped_{name}" for name in PLAIN}
    assert set(flow.FLOW_PRESETS) == {*PLAIN, *warped}
    assert len(flow.FLOW_PRESETS) == 10
    for name in PLAIN:
        preset = flow.get_preset(f"warped_{name}")
        base = flow.get_preset(name)
        assert (preset.version, preset.algorithm) == (1, base.algorithm)
        assert base.parameters.items() <= preset.parameters.items()
        assert preset.parameters["RansacThreshold"] == 1.0
        json.dumps(dict(preset.parameters))  # goes into the manifest


def test_external_flow_cannot_be_computed_here():
    with pytest.raises(UserError, match="extracted by another program.*--frames"):
        flow.get_preset("external")
    frame = np.zeros((32, 32), np.uint8)
    with pytest.raises(UserError, match="extracted by another program"):
        flow.compute("external", frame, frame)


def test_unknown_preset_names_those_there_are():
    with pytest.raises(UserError, match=r"dis, dis_fine, tvl1.*Received: 'farneback'"):
        flow.get_preset("farneback")


def test_opencv_without_contrib_says_how_to_mend_it(monkeypatch):
    monkeypatch.setattr(flow, "cv2", SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(UserError, match="opencv-contrib-python-headless") as caught:
        flow.get_preset("tvl1")
    assert "\n" not in str(caught.value)
    assert flow.get_preset("dis").name == "dis"


def test_quantise_is_centred_and_symmetric():
    field = np.concatenate([np.linspace(-25, 25, 4001), [0.0, 0.0787, 0.0786]])
    field = field.astype(np.float32)
    code = flow.quantise(field)
    assert code.dtype == np.uint8
    expected = np.clip(np.rint(127 * field.astype(np.float64) / 20) + 128, 1, 255)
    np.testing.assert_array_equal(code, expected)
    np.testing.assert_array_equal(flow.quantise(-field), 256 - code.astype(int))
    assert flow.quantise(np.float32([0, 20, -20, 99, -99])).tolist() == [
        128,
        255,
        1,
        255,
        1,
    ]


def test_dequantise_inverts_the_code():
    code = np.arange(1, 256, dtype=np.uint8)
    np.testing.assert_array_equal(flow.quantise(flow.dequantise(code)), code)
    assert flow.dequantise(np.uint8([128]))[0] == 0.0
    assert flow.dequantise(np.uint8([255]))[0] == pytest.approx(20.0)


def test_colour_is_white_at_rest_and_differs_by_direction():
    code = np.full((2, 2, 2), 128, np.uint8)
    code[0, 1] = 255, 128  # right
    code[1, 0] = 1, 128  # left
    painted = flow.colour(code)
    assert painted.dtype == np.uint8
    assert painted[0, 0].tolist() == [255, 255, 255]
    assert painted[0, 1].tolist() == [255, 0, 0]
    assert painted[1, 0].tolist() == [0, 255, 255]
