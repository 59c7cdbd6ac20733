"""Existing extractions become datasets: same motion, same snippets, faults named."""

import json
import math
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from stfn_keras.config import PreparationConfig
from stfn_keras.errors import UserError
from stfn_keras.video import image
from stfn_keras.video.extent import Extent
from stfn_keras.video.flow import compute, dequantise, quantise
from stfn_keras.video.frames import external_field, prepare_frames
from stfn_keras.video.limits import DecodingConfig
from stfn_keras.video.prepare import VideoError, prepare_video, snippet_positions

HEIGHT, WIDTH, FRAMES = 48, 64, 9
CONFIG = PreparationConfig(snippets=3, pairs=2, size="256")
# Half a step of TSN's code at bound 20, half a step of ours.
TOLERANCE = 20 / 255 + 10 / 127 + 1e-4


def motion(pair: int) -> np.ndarray:
    """A smooth field, float32 (HEIGHT, WIDTH, 2), that differs from pair to pair."""
    x, y = np.meshgrid(np.linspace(0, 3, WIDTH), np.linspace(0, 3, HEIGHT))
    field = np.stack([4 * np.sin(x + pair), pair - 5 * np.cos(y)], axis=-1)
    return field.astype(np.float32)


def tsn_code(field: np.ndarray, bound: float = 20.0) -> np.ndarray:
    code = np.rint(255 * (field.astype(np.float64) + bound) / (2 * bound))
    return np.clip(code, 0, 255).astype(np.uint8)


def frame_of(index: int) -> np.ndarray:
    """Plain enough that JPEG keeps it; its grey tells its number."""
    frame = np.full((HEIGHT, WIDTH, 3), (20 + 20 * index) % 240, np.uint8)
    frame[:, : WIDTH // 2, 2] = 250
    return frame


def extract(
    folder: Path,
    frames: int = FRAMES,
    bound: float = 20.0,
    start: int = 1,
    flow_start: int | None = None,
    equal: bool = False,
    digits: int = 5,
    ext: str = "jpg",
    names: tuple[str, str, str] = ("img_", "flow_x_", "flow_y_"),
) -> Path:
    """Write what TSN's program (`equal`) or denseflow writes for a known motion."""
    folder.mkdir(parents=True, exist_ok=True)
    flow_start = start if flow_start is None else flow_start

    def write(name: str, number: int, pixels: np.ndarray) -> None:
        path = folder / f"{name}{number:0{digits}d}.{ext}"
        path.parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, 100])

    for index in range(frames):
        write(names[0], start + index, frame_of(index))
    # TSN's first flow leads to the first frame written: pair -1 here.
    pairs = range(-1 if equal else 0, frames - 1)
    for number, pair in enumerate(pairs, flow_start):
        code = tsn_code(motion(pair), bound)
        write(names[1], number, code[..., 0])
        write(names[2], number, code[..., 1])
    return folder


def fields(prepared, pairs: int = CONFIG.pairs) -> list[np.ndarray]:
    mosaics = prepared.flow["external"]
    decoded = [image.decode_flow(m, prepared.height, prepared.width) for m in mosaics]
    assert all(len(code) == pairs for code in decoded)
    return [dequantise(code) for code in decoded]


def assert_right(prepared, tolerance: float = TOLERANCE) -> None:
    """Every snippet holds its frame and its pairs."""
    positions = snippet_positions(FRAMES, CONFIG)
    assert prepared.positions == positions
    assert (prepared.frames, prepared.frames_declared) == (FRAMES, FRAMES)
    assert (prepared.height, prepared.width) == (HEIGHT, WIDTH)
    assert (prepared.rate, prepared.errors) == (0.0, 0)
    for start, jpeg in zip(positions, prepared.rgb, strict=True):
        wanted = cv2.cvtColor(frame_of(start), cv2.COLOR_BGR2RGB).astype(int)
        assert np.abs(image.decode_rgb(jpeg) - wanted).mean() < 4
    for start, field in zip(positions, fields(prepared), strict=True):
        truth = np.stack([motion(start), motion(start + 1)])
        # Both programs' JPEG adds a code or two here and there.
        assert np.abs(field - truth).max() < tolerance + 0.35
        assert np.abs(field - truth).mean() < tolerance / 2


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"equal": True},  # TSN's dense_flow
        {"start": 0, "digits": 6},  # denseflow
        {"start": 1, "flow_start": 0, "digits": 1},
        {"ext": "jpeg"},
        {"ext": "PNG"},
        {"names": ("image_", "x_", "y_")},
        {"names": ("", "flow_x_", "flow_y_")},
        {"names": ("img_", "flow_x/flow_x_", "flow_y/flow_y_")},
        {"names": ("img_", "flow_x/", "flow_y/"), "equal": True},
    ],
)
def test_layouts_that_exist(tmp_path, layout):
    folder = extract(tmp_path / "a clip", **layout)
    (folder / "notes.txt").write_text("ignored")
    (folder / "flow_z_00001.jpg").write_text("ignored")
    assert_right(prepare_frames(folder, CONFIG))


@pytest.mark.parametrize("bound", [15.0, 32.0])
def test_other_bounds(tmp_path, bound):
    folder = extract(tmp_path / "clip", bound=bound)
    tolerance = bound / 255 + 10 / 127 + 1e-4
    assert_right(prepare_frames(folder, CONFIG, bound=bound), tolerance)


def test_code_is_exact_without_jpeg_of_the_source(tmp_path):
    """Half a step of their code and half of ours, and no more, before our JPEG."""
    folder = extract(tmp_path / "clip", ext="png")
    dense = PreparationConfig(snippets=3, pairs=2, layout="dense")
    prepared = prepare_frames(folder, dense)
    assert len(prepared.rgb) == FRAMES
    assert len(prepared.flow["external"]) == FRAMES - 1
    assert prepared.positions == snippet_positions(FRAMES, dense)
    for pair, field in enumerate(fields(prepared, pairs=1)):
        decoded = tsn_code(motion(pair)) * np.float32(40 / 255) - np.float32(20)
        assert np.abs(decoded - motion(pair)).max() <= 20 / 255 + 1e-5
        expected = image.encode_flow(quantise(decoded)[np.newaxis])
        assert prepared.flow["external"][pair] == expected
        assert np.abs(field[0] - motion(pair)).mean() < TOLERANCE / 2


def test_dense_pixels_equal_those_of_snippets(tmp_path):
    folder = extract(tmp_path / "clip")
    snippets = prepare_frames(folder, CONFIG)
    dense = prepare_frames(
        folder, PreparationConfig(snippets=3, pairs=2, layout="dense")
    )
    pairs = fields(dense, pairs=1)
    for start, field in zip(snippets.positions, fields(snippets), strict=True):
        np.testing.assert_array_equal(field, np.concatenate(pairs[start : start + 2]))
    assert snippets.rgb == [dense.rgb[start] for start in snippets.positions]


@pytest.mark.parametrize("count", [FRAMES, 5])
def test_longer_snippets_hold_what_dense_ones_do(tmp_path, count):
    """Read, and computed from the frames; a short video starts over."""
    folder, config = extract(tmp_path / "clip", count), replace(CONFIG, layout="dense")
    dense, extent = prepare_frames(folder, config), Extent(6, 4)
    found = prepare_frames(folder, config, [0, 2], extent=extent)
    assert found.positions == ([0, 3] if count == FRAMES else [0, 0])
    pairs = fields(dense, pairs=1)
    for index, (start, field) in enumerate(
        zip(found.positions, fields(found, pairs=4), strict=True)
    ):
        wanted = [dense.rgb[(start + n) % count] for n in range(6)]
        assert found.rgb[6 * index :][:6] == wanted
        wanted = [pairs[(start + n) % (count - 1)] for n in range(4)]
        np.testing.assert_array_equal(field, np.concatenate(wanted))
    computed = prepare_frames(folder, config, [0, 2], field="dis", extent=extent)
    bare = prepare_frames(folder, config, [0, 2], field=None, extent=Extent(6))
    assert computed.rgb == bare.rgb == found.rgb
    assert len(computed.flow["dis"]) == 2 and not bare.flow


def test_no_motion_stays_exactly_none(tmp_path):
    """TSN codes 0 as 127.5, rounded to 128: 0.078 px, which our code calls 0 again."""
    folder = tmp_path / "clip"
    extract(folder)
    for path in folder.glob("flow_*"):
        cv2.imwrite(str(path), tsn_code(np.zeros((HEIGHT, WIDTH))))
    assert all((f == 0).all() for f in fields(prepare_frames(folder, CONFIG)))


def test_an_extracted_video_gives_what_the_video_gives(tmp_path, render_clip):
    """Frames and pairs are aligned as in our own preparation, byte for byte in RGB."""
    clip = render_clip(tmp_path / "clip.avi", frames=7)
    with av.open(str(clip)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"img_{number}.png"), frame[..., ::-1])
    for number in range(len(frames) - 1):
        field = tsn_code(compute("dis", gray[number], gray[number + 1]))
        cv2.imwrite(str(folder / f"flow_x_{number}.png"), field[..., 0])
        cv2.imwrite(str(folder / f"flow_y_{number}.png"), field[..., 1])
    ours = prepare_video(clip, CONFIG)
    theirs = prepare_frames(folder, CONFIG)
    assert theirs.rgb == ours.rgb
    assert theirs.positions == ours.positions
    for mine, other in zip(ours.flow["dis"], theirs.flow["external"], strict=True):
        codes = (image.decode_flow(m, ours.height, ours.width) for m in (mine, other))
        mine, other = (code.astype(int) for code in codes)
        assert np.abs(mine - other).mean() < 1
        assert np.abs(mine - 128).mean() > 5


def test_vectors_scale_with_the_size(tmp_path):
    folder = extract(tmp_path / "clip", ext="png")
    config = PreparationConfig(snippets=3, pairs=2, size="32x16")
    prepared = prepare_frames(folder, config)
    assert (prepared.height, prepared.width) == (16, 32)
    truth = motion(prepared.positions[0])
    small = cv2.resize(truth, (32, 16), interpolation=cv2.INTER_AREA) * (1 / 2, 1 / 3)
    assert np.abs(fields(prepared)[0][0] - small).max() < TOLERANCE + 0.2


def test_flow_of_another_size_than_the_frames(tmp_path):
    folder = extract(tmp_path / "clip", ext="png")
    for index in range(FRAMES):
        big = cv2.resize(frame_of(index), (2 * WIDTH, 2 * HEIGHT))
        cv2.imwrite(str(folder / f"img_{index + 1:05d}.png"), big)
    prepared = prepare_frames(folder, CONFIG)
    assert (prepared.height, prepared.width) == (2 * HEIGHT, 2 * WIDTH)
    large = cv2.resize(2 * motion(prepared.positions[0]), (2 * WIDTH, 2 * HEIGHT))
    assert np.abs(fields(prepared)[0][0] - large).max() < 2 * TOLERANCE + 0.2


def test_several_frames_per_snippet_and_repeating_positions(tmp_path):
    folder = extract(tmp_path / "clip", frames=4)
    config = PreparationConfig(snippets=5, pairs=2, rgb_per_snippet=3)
    prepared = prepare_frames(folder, config)
    assert prepared.positions == [0, 0, 1, 1, 1]
    assert len(prepared.rgb) == 15
    assert prepared.rgb[:3] == prepared.rgb[3:6]
    assert prepared.rgb[1] == prepared.rgb[6]
    assert prepared.flow["external"][0] == prepared.flow["external"][1]


def test_only_needed_images_are_read_and_never_changed(tmp_path):
    folder = extract(tmp_path / "clip", frames=40)
    config = PreparationConfig(snippets=1, pairs=2)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    for name in ("img_00040", "flow_x_00039", "flow_y_00001"):
        (folder / f"{name}.jpg").write_bytes(b"no image")
    prepared = prepare_frames(folder, config)
    assert prepared.positions == [19]
    changed = {p.name for p in folder.iterdir() if before[p.name] != p.read_bytes()}
    assert changed == {"img_00040.jpg", "flow_x_00039.jpg", "flow_y_00001.jpg"}


def remove(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def overwrite(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def cut(name, keep):
    def change(folder):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * keep)])

    return change


def resized(name, size=(32, 32)):
    def change(folder):
        pixels = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(folder / name), cv2.resize(pixels, size))

    return change


DENSE = PreparationConfig(snippets=3, pairs=2, layout="dense")


@pytest.mark.parametrize(
    "damage",
    [
        remove("img_00004.jpg"),
        remove("flow_x_00003.jpg"),
        remove("flow_y_00003.jpg"),
        remove("flow_x_00003.jpg", "flow_y_00003.jpg"),
        remove("flow_x_00008.jpg", "flow_y_00008.jpg"),  # two fewer than frames
        remove("img_00009.jpg", "img_00008.jpg"),
        remove(*(f"flow_x_{n:05d}.jpg" for n in range(1, 9))),
        remove(*(f"flow_{s}_{n:05d}.jpg" for n in range(1, 9) for s in "xy")),
        overwrite("img_00003.jpg", b""),
        overwrite("img_00003.jpg", b"no image"),
        overwrite("img_00003.jpg", b"\x89PNG\r\n\x1a\n no image"),
        overwrite("img_3.jpg", b"twice"),
        cut("img_00003.jpg", 0.95),
        cut("flow_y_00003.jpg", 0.5),
        resized("img_00003.jpg"),
        resized("flow_x_00002.jpg"),
        resized("flow_y_00002.jpg"),
    ],
)
def test_damage_is_named(tmp_path, damage):
    folder = extract(tmp_path / "clip")
    prepare_frames(folder, DENSE)
    damage(folder)
    with pytest.raises(VideoError) as caught:
        prepare_frames(folder, DENSE)
    assert caught.value.reason == "damaged"


def test_damage_within_an_image_is_not_painted_over(tmp_path):
    """OpenCV decodes a JPEG that is damaged inside without an error."""
    folder = extract(tmp_path / "clip")
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    path = folder / "img_00003.jpg"
    cv2.imwrite(str(path), noise)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4] = b"\xff\xc4\x00\x02"
    path.write_bytes(data)
    assert cv2.imread(str(path)) is not None
    with pytest.raises(VideoError, match="damaged"):
        prepare_frames(folder, DENSE)


def test_jpegs_of_other_programs(tmp_path):
    """Fill bytes before markers and bytes behind the end are no damage."""
    plain = prepare_frames(extract(tmp_path / "plain"), DENSE)
    for path in extract(tmp_path / "unusual").iterdir():
        data = path.read_bytes()
        path.write_bytes(data[:2] + b"\xff\xff" + data[2:] + b"\0more")
    assert prepare_frames(tmp_path / "unusual", DENSE) == plain


def test_flow_too_high_for_its_mosaics(tmp_path, monkeypatch):
    folder = extract(tmp_path / "clip")
    monkeypatch.setattr(image, "MAX_SIDE", 2 * WIDTH)
    assert prepare_frames(folder, PreparationConfig(size="16", pairs=8)).width == 21
    with pytest.raises(UserError, match="--pairs at most 8"):
        prepare_frames(folder, PreparationConfig(size="16", pairs=9))
    monkeypatch.setattr(image, "MAX_SIDE", 2 * WIDTH - 1)
    with pytest.raises(VideoError, match="too large"):
        prepare_frames(folder, PreparationConfig(size="48", pairs=1))


def test_what_is_no_folder_of_frames(tmp_path):
    def reason(path: Path, config=CONFIG, **limits) -> str:
        with pytest.raises(VideoError) as caught:
            prepare_frames(path, config, decoding=DecodingConfig(**limits))
        return caught.value.reason

    assert reason(tmp_path / "nowhere") == "missing"
    (tmp_path / "file").write_text("text")
    assert reason(tmp_path / "file") == "unreadable container"
    (tmp_path / "empty").mkdir()
    assert reason(tmp_path / "empty") == "no frames"
    (tmp_path / "empty" / "notes.txt").write_text("text")
    assert reason(tmp_path / "empty") == "no frames"
    assert reason(extract(tmp_path / "one", frames=1)) == "too short"
    assert reason(extract(tmp_path / "short", frames=2)) == "too short"
    sound = extract(tmp_path / "sound")
    small = PreparationConfig(snippets=3, pairs=2, size="16")
    assert prepare_frames(sound, small).height == 16
    thin = extract(tmp_path / "thin")
    for path in thin.iterdir():
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), pixels[:8])
    assert reason(thin) == "too small"
    assert reason(sound, max_frames=FRAMES - 1) == "too large"
    assert reason(sound, max_pixels=HEIGHT * WIDTH - 1) == "too large"
    assert reason(sound, max_bytes=1000) == "too large"


def test_declared_frames_are_those_that_the_numbers_promise(tmp_path):
    folder = extract(tmp_path / "clip")
    (folder / "img_00004.jpg").unlink()
    with pytest.raises(VideoError) as caught:
        prepare_frames(folder, CONFIG)
    assert caught.value.declared == FRAMES


@pytest.mark.parametrize("bound", [0.0, -20.0, math.nan, math.inf])
def test_senseless_bounds_are_refused(tmp_path, bound):
    with pytest.raises(UserError, match="above 0"):
        prepare_frames(extract(tmp_path / "clip"), CONFIG, bound=bound)


def test_external_flow_is_described_as_any_other():
    field = external_field(15.0, 5)
    assert field["preset"] == "external"
    assert field["parameters"]["source_bound"] == 15.0
    assert (field["bound"], field["pairs"], field["version"]) == (20.0, 5, 1)
    assert field["opencv"] == cv2.__version__
    json.dumps(field)
