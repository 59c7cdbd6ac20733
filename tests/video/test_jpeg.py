"""JPEGs of other programs are read as the standard allows, our own strictly."""

import re

import cv2
import numpy as np
import pytest

from stfn_keras.video import jpeg
from stfn_keras.video.jpeg import Header


@pytest.fixture(scope="module", params=["sequential", "restarts", "progressive"])
def whole(request) -> bytes:
    options = {
        "sequential": [],
        "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
        "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    }[request.param]
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", pixels, options)[1].tobytes()


def filled(data: bytes) -> bytes:
    """Put fill bytes before each marker of the header."""
    scan = data.index(b"\xff\xda")
    marker = rb"(?=\xff[\xc0\xc2\xc4\xda-\xdd\xe0])"
    return re.sub(marker, b"\xff\xff", data[: scan + 2]) + data[scan + 2 :]


UNUSUAL = {
    "fill bytes": filled,
    "fill bytes before the end": lambda data: data[:-2] + b"\xff\xff" + data[-2:],
    "zeroes behind the end": lambda data: data + bytes(7),
    "an image behind the end": lambda data: data + b"more" + data,
}


@pytest.mark.parametrize("how", UNUSUAL)
def test_what_the_standard_allows(whole, how):
    data = UNUSUAL[how](whole)
    assert len(data) > len(whole)
    assert jpeg.read_header(data, strict=False) == Header(48, 64, 3)
    jpeg.Decoder().check(data)
    pixels = [cv2.imdecode(np.frombuffer(d, np.uint8), 1) for d in (data, whole)]
    np.testing.assert_array_equal(*pixels)


@pytest.mark.parametrize("how", ["fill bytes", "zeroes behind the end"])
def test_stored_images_are_held_to_more(whole, how):
    with pytest.raises(ValueError, match="cut"):
        jpeg.read_header(UNUSUAL[how](whole))


@pytest.mark.parametrize("strict", [True, False])
def test_damage_is_told_either_way(whole, strict):
    for damaged in (whole[1:], whole[:2], whole[:30], whole[:-2], whole[:-20]):
        with pytest.raises(ValueError, match="JPEG"):
            jpeg.read_header(damaged, strict)
    assert jpeg.read_header(whole, strict) == Header(48, 64, 3)


@pytest.mark.parametrize("strict", [True, False])
def test_a_marker_within_the_pixels(strict):
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    data = data[:-100] + b"\xff\xc4" + data[-98:]
    with pytest.raises(ValueError, match="another marker"):
        jpeg.read_header(data, strict)
