"""The dense layout gives the very views of the snippet layout."""

import dataclasses
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import pytest
import tensorflow as tf
from conftest import small_model, small_training

from stfn_keras.config import PixelStageConfig
from stfn_keras.data import pipeline
from stfn_keras.data.manifest import Manifest, Shard, check_match
from stfn_keras.data.records import RecordWriter, encode_example
from stfn_keras.data.source import open_source
from stfn_keras.files import sha256
from stfn_keras.video import image, mosaic, view
from stfn_keras.video.flow import get_preset

SNIPPETS, PAIRS, REPEATS = 5, 3, 2
ROLES = "rrrreev"
SIZES = {"rgb": 20, "flow": 24}


def clip(number):
    """Frames uint8 (N, H, W, 3) and codes (N - 1, H, W, 2) of odd, differing sizes."""
    draws = np.random.default_rng(number)
    length, height, width = 6 + 5 * (number % 3), 37 + number, 50 - number
    coarse = draws.integers(0, 256, (length, 6, 8, 5)).astype(np.uint8)
    smooth = np.stack([cv2.resize(image, (width, height)) for image in coarse])
    return smooth[..., :3], np.maximum(smooth[:-1, ..., 3:], 1)


def record(number, layout):
    frames, codes = clip(number)
    places = len(frames) - max(PAIRS + 1, REPEATS) + 1
    starts = [(2 * k + 1) * places // (2 * SNIPPETS) for k in range(SNIPPETS)]
    jpegs = [image.encode_rgb(frame) for frame in frames]
    if layout == "dense":
        stored = {
            "frame/rgb": jpegs,
            "frame/flow/dis": [image.encode_flow(code[None]) for code in codes],
        }
    else:
        stored = {
            "snippet/rgb": [jpegs[p + r] for p in starts for r in range(REPEATS)],
            "flow/dis": [image.encode_flow(codes[p : p + PAIRS]) for p in starts],
        }
    return encode_example(
        {
            "video/id": f"clip {number}.avi",
            "video/label": number % 2,
            "video/label_text": ("left", "right")[number % 2],
            "video/group": "",
            "video/roles": ROLES[number],
            "video/frames": len(frames),
            "video/rate": 25.0,
            "video/height": frames.shape[1],
            "video/width": frames.shape[2],
            "snippet/frame": starts,
            **stored,
        }
    )


def write(folder, layout):
    folder.mkdir()
    preset, shards = get_preset("dis"), []
    for role in "rev":
        path = folder / f"small-{role}-{len(shards):05d}-of-00003.tfrecord"
        numbers = [n for n, letter in enumerate(ROLES) if letter == role]
        with path.open("wb") as file:
            writer = RecordWriter(file)
            for number in numbers:
                writer.write(record(number, layout))
        size, digest = path.stat().st_size, sha256(path)
        shards.append(Shard(path.name, role, len(numbers), size, digest))
    Manifest(
        schema=1, name="small", protocol="csv", labels=("left", "right"),
        videos=len(ROLES), absent=0, shards=tuple(shards),
        flow={"dis": {"preset": "dis", "version": preset.version,
                      "parameters": dict(preset.parameters),
                      "opencv": cv2.__version__, "bound": 20.0, "pairs": PAIRS}},
        layout=layout, snippets=SNIPPETS, rgb_per_snippet=REPEATS, size="256",
        flip=True,
    ).save(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    return [write(folder / layout, layout) for layout in ("snippet", "dense")]


def sources(layouts, role, sizes=SIZES):
    return [open_source(f, Manifest.load(f), 1, role, "dis", sizes) for f in layouts]


def assert_equal(one, other):
    tf.nest.assert_same_structure(one, other)
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("sizes", [SIZES, {"rgb": 20}, {"flow": 24}])
def test_training_batches_are_the_same_bits(layouts, sizes):
    def batches(source, epoch):
        return pipeline.training_batches(
            source, segments=2, batch=2, seed=3, epoch=epoch,
            augment=PixelStageConfig(scales=(1.0, 0.75)),
            transform=lambda inputs, label: (inputs, label),
        )  # fmt: skip

    for epoch in range(2):
        data = [batches(source, epoch) for source in sources(layouts, "r", sizes)]
        pairs = list(zip(*data, strict=True))
        assert len(pairs) == 2
        for one, other in pairs:
            assert_equal(one, other)


def test_test_views_are_the_same_bits(layouts):
    data = [
        pipeline.view_batches(source, segments=2, samplings=2, crops=10, batch=7)
        for source in sources(layouts, "e")
    ]
    for one, other in zip(*data, strict=True):
        assert_equal(one, other)


def test_encoded_snippets_decode_to_the_same_bits(layouts):
    data = [
        pipeline.encoded_batches(source, segments=3, batch=2)
        for source in sources(layouts, "e")
    ]
    for one, other in zip(*data, strict=True):
        assert one["rgb"].shape == other["rgb"].shape == (2, 3)
        assert other["flow"].shape == (2, 3)
        np.testing.assert_array_equal(one["rgb"].numpy(), other["rgb"].numpy())
        for row in range(2):
            size = one["height"][row], one["width"][row]
            codes = [view.decode_flows(v["flow"][row], *size, PAIRS).numpy()
                     for v in (one, other)]  # fmt: skip
            np.testing.assert_array_equal(*codes)


def test_only_drawn_snippets_are_decoded(layouts):
    """A broken JPEG outside the drawn snippets goes unseen."""
    (_, source) = sources(layouts, "e")
    shard = next(iter(tf.data.TFRecordDataset(str(source.files[0]))))
    example = tf.train.Example.FromString(shard.numpy())
    feature = example.features.feature
    starts = feature["snippet/frame"].int64_list.value
    needed = range(starts[2], starts[2] + PAIRS)
    for name, kept in (("frame/rgb", [starts[2]]), ("frame/flow/dis", needed)):
        values = feature[name].bytes_list.value
        for index in set(range(len(values))) - set(kept):
            values[index] = b"no image"
    from stfn_keras.data.source import parse, take

    video = take(parse(source, example.SerializeToString()), tf.constant([2]))
    inputs = pipeline.look(
        source, video, [view.centre_crop(video["height"], video["width"])], 1
    )
    assert inputs["flow"].shape == (1, 1, 24, 24, 2 * PAIRS)


def test_a_run_of_one_layout_takes_data_of_the_other(layouts):
    one, other = (Manifest.load(folder).preprocessing for folder in layouts)
    check_match(one, other)
    check_match(other, one)


def test_a_run_on_dense_data_is_exported_with_parity(layouts, tmp_path):
    """The exported model is fed one mosaic per segment, joined from pairs."""
    from stfn_keras.exporting.export import export
    from stfn_keras.training.train import train

    model = small_model(pairs=PAIRS, segments=2, network="temporal")
    settings = small_training(stages=("flow",))
    once = dataclasses.replace(settings.flow_stage, epochs=1)
    settings = dataclasses.replace(settings, flow_stage=once)
    run = train(layouts[1], tmp_path / "run", model, settings)
    assert export(run, tmp_path / "model").name == "1"


@pytest.mark.parametrize("length", [1, 2, 3, 12])
def test_joined_mosaics_decode_to_their_parts(length):
    draws = np.random.default_rng(length)
    codes = draws.integers(1, 256, (length, 33, 47, 2)).astype(np.uint8)
    whole = image.encode_flow(codes)
    joined = mosaic.join([image.encode_flow(code[None]) for code in codes])
    np.testing.assert_array_equal(
        image.decode_flow(joined, 33, 47), image.decode_flow(whole, 33, 47)
    )
    pixels = [tf.io.decode_jpeg(j, 1, dct_method="INTEGER_ACCURATE").numpy()
              for j in (joined, whole)]  # fmt: skip
    np.testing.assert_array_equal(*pixels)


def test_what_cannot_be_joined_is_refused():
    codes = np.full((1, 16, 16, 2), 128, np.uint8)
    jpeg, wider = image.encode_flow(codes), image.encode_flow(codes.repeat(2, axis=2))
    colour = image.encode_rgb(np.zeros((16, 32, 3), np.uint8))
    odd = cv2.imencode(".jpg", np.zeros((12, 20), np.uint8))[1].tobytes()
    coarse = [cv2.IMWRITE_JPEG_QUALITY, 50]
    other = cv2.imencode(".jpg", np.zeros((16, 32), np.uint8), coarse)[1].tobytes()
    for parts in ([jpeg, wider], [jpeg, other], [odd, odd]):
        with pytest.raises(ValueError, match="expected"):
            mosaic.join(parts)
    for wrong in (b"", b"no image", jpeg[:-1], jpeg[:30], colour):
        with pytest.raises(ValueError, match="grayscale JPEG"):
            mosaic.join([jpeg, wrong])


def test_manifests_of_both_layouts_differ_in_layout_alone(layouts):
    one, other = (Manifest.load(folder) for folder in layouts)
    assert dataclasses.replace(other, layout="snippet", shards=one.shards) == one
