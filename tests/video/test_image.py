"""Mosaics come back as they were, and TensorFlow decodes the same pixels."""

import cv2
import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.video import image


def smooth_codes(length: int, height: int, width: int) -> np.ndarray:
    """Coded flow that differs between tiles: (length, height, width, 2)."""
    noise = np.random.default_rng(1).normal(0, 1, (length, 2, height, width))
    smooth = [[cv2.GaussianBlur(tile, (0, 0), 3) for tile in pair] for pair in noise]
    levels = np.arange(2 * length).reshape(length, 2, 1, 1) * 20 + 30
    codes = np.clip(np.rint(np.array(smooth) * 60 + levels), 1, 255)
    return np.ascontiguousarray(codes.astype(np.uint8).transpose(0, 2, 3, 1))


@pytest.mark.parametrize("size", [(32, 40), (30, 41), (17, 16), (48, 37)])
@pytest.mark.parametrize("length", [1, 5])
def test_mosaic_round_trip(size, length):
    codes = smooth_codes(length, *size)
    decoded = image.decode_flow(image.encode_flow(codes), *size)
    assert decoded.shape == (length, *size, 2)
    difference = np.abs(decoded.astype(int) - codes)
    assert difference.max() <= 4
    assert difference.mean() < 1


def test_constant_tiles_are_exact():
    """No block straddles two tiles, so neighbours cannot bleed into each other."""
    codes = np.zeros((3, 19, 21, 2), np.uint8)
    codes[...] = np.arange(10, 250, 40).reshape(3, 1, 1, 2)
    decoded = image.decode_flow(image.encode_flow(codes), 19, 21)
    np.testing.assert_array_equal(decoded, codes)


def test_decoded_codes_are_never_0():
    """Guards against JPEG, which may round a code of 1 down."""
    codes = np.ones((1, 16, 16, 2), np.uint8)
    codes[:, ::2, ::3] = 90
    assert image.decode_flow(image.encode_flow(codes), 16, 16).min() >= 1


def test_mosaic_layout():
    codes = np.zeros((2, 10, 12, 2), np.uint8)
    codes[...] = np.array([[50, 100], [150, 200]]).reshape(2, 1, 1, 2)
    data = np.frombuffer(image.encode_flow(codes), np.uint8)
    mosaic = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert mosaic.shape == (2 * 16, 2 * 16)  # one channel
    assert mosaic[::16, ::16].tolist() == [[50, 100], [150, 200]]


def test_rgb_round_trip_keeps_the_channels_apart():
    rgb = np.zeros((40, 56, 3), np.uint8)
    rgb[:] = 200, 100, 30
    decoded = image.decode_rgb(image.encode_rgb(rgb))
    assert np.abs(decoded.astype(int) - rgb).max() <= 3


def test_the_same_pixels_give_the_same_bytes():
    codes = smooth_codes(2, 20, 24)
    assert image.encode_flow(codes) == image.encode_flow(codes.copy())


def test_what_is_no_mosaic_is_refused():
    data = image.encode_flow(smooth_codes(2, 16, 16))
    with pytest.raises(ValueError, match="mosaic"):
        image.decode_flow(data, 24, 24)
    for junk in (b"", b"no JPEG"):
        with pytest.raises(ValueError, match="JPEG"):
            image.decode_rgb(junk)


@pytest.mark.parametrize("size", [(48, 64), (37, 51)])
def test_tensorflow_decodes_the_same_pixels(size):
    tf = pytest.importorskip("tensorflow")
    noise = np.random.default_rng(2).integers(0, 255, (*size, 3), dtype=np.uint8)
    rgb = image.encode_rgb(cv2.GaussianBlur(noise, (0, 0), 1.5))
    decoded = tf.io.decode_jpeg(rgb, 3, dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(decoded, image.decode_rgb(rgb))
    flow = image.encode_flow(smooth_codes(5, *size))
    mosaic = tf.io.decode_jpeg(flow, 1, dct_method="INTEGER_ACCURATE")[..., 0]
    ours = cv2.imdecode(np.frombuffer(flow, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(mosaic, ours)


def test_pairs_that_no_jpeg_can_hold():
    """Guards against OpenCV failing at every video of such settings."""
    for size, most in (("256", 255), ("340x250", 255), ("16x4000", 16)):
        image.check_pairs(size, most)
        with pytest.raises(UserError, match=f"--pairs at most {most} at a height"):
            image.check_pairs(size, most + 1)
    with pytest.raises(UserError, match="twice the width"):
        image.check_pairs("33000x64", 1)


def test_the_largest_mosaic_is_a_jpeg():
    height = image.MAX_SIDE // image.BLOCK * image.BLOCK
    assert image.fits(height, 16, 1) and not image.fits(height + 1, 16, 1)
    data = image.encode_flow(np.full((height // 8, 8, 16, 2), 128, np.uint8))
    assert (image.decode_flow(data, 8, 16) == 128).all()
