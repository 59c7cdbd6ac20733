"""Several frames of a snippet, and dense ones of any reach, pixel by pixel."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from data.test_dense import PAIRS, REPEATS, ROLES, SIZES, SNIPPETS, clip, write

from stfn_keras.config import ModelConfig, PixelStageConfig
from stfn_keras.data import pipeline
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.source import open_source
from stfn_keras.errors import UserError
from stfn_keras.training.checks import check_settings
from stfn_keras.video import image, view
from stfn_keras.video.augment import OPERATIONS, augmented, lit
from stfn_keras.video.extent import Extent
from stfn_keras.video.joined import joined_frames, single_frames

ALL = PixelStageConfig(scales=(1.0, 0.75), randaugment=2, magnitude=9.0, erase=1.0)


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    return {name: write(folder / name, name) for name in ("snippet", "dense")}


def source_of(folder, extent, role="e", sizes=SIZES):
    return open_source(folder, Manifest.load(folder), 1, role, "dis", sizes, extent)


def views_of(source, segments=SNIPPETS, crops=1):
    """By video its number, and the views (crops, T, H, W, C) of each stream."""
    data = pipeline.view_batches(
        source, segments=segments, samplings=1, crops=crops, batch=crops
    )
    for inputs, about in data:
        number = int(about["id"].numpy()[0].decode().split()[1].split(".")[0])
        yield number, {stream: seen.numpy() for stream, seen in inputs.items()}


def expected(number, frames, pairs, crop=0, crops=1):
    """The view of frames (T, F) and pairs (T, L) of a clip, made one by one."""
    pixels, codes = clip(number)
    size = tf.constant(pixels.shape[1:3])
    box = view.fixed_crops(*tf.unstack(size), crops)[crop]
    rgb = [
        [
            view.crop_rgb(
                view.decode_rgb(image.encode_rgb(pixels[i]))[None], box, SIZES["rgb"]
            )[0]
            for i in row
        ]
        for row in frames
    ]
    flow = [
        view.cropped_flows(
            tf.constant([image.encode_flow(codes[list(row)])]),
            *tf.unstack(size), len(row), box, SIZES["flow"],
        )[0]
        for row in pairs
    ]  # fmt: skip
    return {
        "rgb": np.stack([np.concatenate(row, axis=-1) for row in rgb]),
        "flow": np.stack(flow),
    }


@pytest.mark.parametrize("layout", ["snippet", "dense"])
def test_frame_j_of_snippet_k_is_the_frame_behind_its_first(layouts, layout):
    source = source_of(layouts[layout], Extent(REPEATS, PAIRS))
    seen = 0
    for number, views in views_of(source, crops=10):
        frames = len(clip(number)[0])
        places = frames - PAIRS
        starts = [(2 * k + 1) * places // (2 * SNIPPETS) for k in range(SNIPPETS)]
        rows = [range(p, p + REPEATS) for p in starts]
        pairs = [range(p, p + PAIRS) for p in starts]
        for crop in range(10):  # the last five are mirror images
            wanted = expected(number, rows, pairs, crop, 10)
            for stream in SIZES:
                np.testing.assert_array_equal(views[stream][crop], wanted[stream])
        seen += 1
    assert seen == ROLES.count("e")


@pytest.mark.parametrize("extent", [Extent(8, 4), Extent(2, 9), Extent(14, 12)])
def test_dense_data_give_any_reach_and_start_over_where_it_is_too_long(layouts, extent):
    lengths = set()
    for role in "re":
        for number, views in views_of(source_of(layouts["dense"], extent, role)):
            count = len(clip(number)[0])
            lengths.add(count)
            stored, places = count - PAIRS, max(count - extent.reach, 0) + 1
            starts = [
                (2 * ((2 * k + 1) * stored // (2 * SNIPPETS)) + 1) * places
                // (2 * stored)
                for k in range(SNIPPETS)
            ]  # fmt: skip
            wanted = expected(
                number,
                [[(p + n) % count for n in range(extent.frames)] for p in starts],
                [[(p + n) % (count - 1) for n in range(extent.pairs)] for p in starts],
            )
            for stream in SIZES:
                np.testing.assert_array_equal(views[stream][0], wanted[stream])
    assert lengths == {6, 11, 16}


def test_one_frame_is_the_first_of_several(layouts):
    """The draws of training do not depend on how much is read."""

    def batches(extent):
        return pipeline.training_batches(
            source_of(layouts["snippet"], extent, "r"), segments=2, batch=2, seed=3,
            epoch=0, augment=PixelStageConfig(scales=(1.0, 0.75)),
            transform=lambda inputs, label: (inputs, label),
        )  # fmt: skip

    for (one, _), (two, _) in zip(
        batches(Extent(1, PAIRS)), batches(Extent(2, PAIRS)), strict=True
    ):
        assert two["rgb"].shape == (2, 2, 20, 20, 6)
        np.testing.assert_array_equal(one["rgb"], two["rgb"][..., :3])
        np.testing.assert_array_equal(one["flow"], two["flow"])


@pytest.mark.parametrize("extent", [Extent(2, PAIRS), Extent(9, 8)])
def test_encoded_snippets_are_the_same_pixels(layouts, extent):
    """What parity and servers are fed: frames in a row, and one mosaic a segment."""
    from stfn_keras.video.centre import centre_views

    source = source_of(layouts["dense"], extent)
    views = [seen for _, seen in views_of(source, segments=2)]
    for number, bundle in enumerate(
        pipeline.encoded_batches(source, segments=2, batch=1)
    ):
        assert bundle["rgb"].shape == (1, 2 * extent.frames)
        assert bundle["flow"].shape == (1, 2)
        encoded = {f"{stream}_jpeg": bundle[stream] for stream in SIZES}
        found = centre_views(encoded, SIZES, extent)
        for stream in SIZES:
            np.testing.assert_array_equal(found[stream], views[number][stream])


def test_every_frame_of_a_video_gets_the_same_draw():
    """Frames that are alike stay so, whatever is drawn."""
    draws = np.random.default_rng(0)
    frame = tf.constant(draws.integers(0, 256, (2, 24, 24, 3), np.uint8))
    inputs = {"rgb": tf.concat([frame] * 3, axis=-1)}
    changed = 0
    for number in range(20):
        seed = tf.constant([1, number])
        found = augmented(inputs, seed, operations=2, magnitude=9.0, erase=0.5)["rgb"]
        assert found.shape == (2, 24, 24, 9)
        for other in (3, 6):
            np.testing.assert_array_equal(found[..., :3], found[..., other : other + 3])
        changed += bool((found[..., :3] != frame).numpy().any())
    assert changed > 10


def test_light_is_measured_over_all_frames():
    dark, bright = (tf.fill([1, 8, 8, 3], tf.constant(v, tf.uint8)) for v in (0, 200))
    inputs = {"rgb": tf.concat([dark, bright], axis=-1)}
    index = tf.constant(OPERATIONS.index("autocontrast"))
    found = joined_frames(lit(single_frames(inputs["rgb"]), index, 1.0, 1.0), 2)
    assert found.numpy()[0, 0, 0].tolist() == [0, 0, 0, 255, 255, 255]


def test_frames_come_together_and_apart():
    pixels = tf.reshape(tf.range(2 * 3 * 4 * 5 * 3), [6, 4, 5, 3])
    joined = joined_frames(pixels, 3)
    assert joined.shape == (2, 4, 5, 9)
    np.testing.assert_array_equal(joined[1, ..., 3:6], pixels[4])
    np.testing.assert_array_equal(single_frames(joined), pixels)
    assert joined_frames(pixels, 1) is pixels and single_frames(pixels) is pixels


def test_more_than_is_stored_is_refused_with_the_way_to_prepare_it(layouts):
    with pytest.raises(UserError, match=r"--frames=3, but .*--rgb_per_snippet=3"):
        source_of(layouts["snippet"], Extent(3, PAIRS))
    with pytest.raises(UserError, match=r"pairs=4, but .* 3 flow.*give --pairs=3"):
        source_of(layouts["snippet"], Extent(1, 4))
    small = ModelConfig(
        network="four_stream", tower="tiny", segments=2, frames=3, pairs=5, rgb_size=16
    )
    from conftest import small_training

    settings = small_training(stages=small.streams)
    snippet, dense = (Manifest.load(layouts[name]) for name in ("snippet", "dense"))
    with pytest.raises(UserError, match="--rgb_per_snippet=3"):
        check_settings(small, settings, snippet)
    check_settings(small, settings, dense)
    flowless = dataclasses.replace(small, network="spatial", frames=2)
    check_settings(flowless, small_training(stages=("rgb",)), snippet)
