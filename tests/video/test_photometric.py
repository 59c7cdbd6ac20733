"""Light and colour: values one can check by hand, alike over segments."""

import numpy as np
import pytest

from stfn_keras.video import photometric


def frames(*colours, size=4) -> np.ndarray:
    """One flat frame per colour, uint8 (T, size, size, 3)."""
    return np.stack([np.full((size, size, 3), c, np.uint8) for c in colours])


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 9, 9, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["brightness", "contrast", "colour", "sharpness"])
def test_a_factor_of_one_changes_nothing(name, noise):
    np.testing.assert_array_equal(getattr(photometric, name)(noise, 1.0), noise)


def test_brightness_scales_and_clips():
    found = photometric.brightness(frames(10, 200), 1.5).numpy()
    assert (found[0] == 15).all()
    assert (found[1] == 255).all()


def test_contrast_is_about_the_mean_of_the_whole_video():
    """Flat frames would not change at all if each had a mean of its own."""
    found = photometric.contrast(frames(100, 140), 1.5).numpy()
    assert (found[0] == 90).all()
    assert (found[1] == 150).all()


def test_colour_of_zero_is_gray():
    found = photometric.colour(frames((200, 100, 50)), 0.0).numpy()
    assert (found == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)).all()
    more = photometric.colour(frames((200, 100, 50)), 1.5).numpy()[0, 0, 0]
    assert more[0] > 200
    assert more[2] < 50


def test_sharpness_smooths_and_sharpens_the_inside():
    picture = frames(100)
    picture[0, 1, 1] = 126
    smooth = photometric.sharpness(picture, 0.0).numpy()[0, ..., 0]
    assert smooth[1, 1] == round((8 * 100 + 5 * 126) / 13)
    assert smooth[2, 2] == round((12 * 100 + 126) / 13)
    sharp = photometric.sharpness(picture, 2.0).numpy()[0, ..., 0]
    assert sharp[1, 1] == 126 + (126 - smooth[1, 1])
    assert (sharp[0] == 100).all()  # the border stays


def test_posterize_keeps_the_upper_bits(noise):
    np.testing.assert_array_equal(photometric.posterize(noise, 8), noise)
    np.testing.assert_array_equal(photometric.posterize(noise, 4), noise // 16 * 16)


def test_solarize_inverts_above_the_threshold(noise):
    np.testing.assert_array_equal(photometric.solarize(noise, 255), noise)
    expected = np.where(noise > 100, 255 - noise, noise)
    np.testing.assert_array_equal(photometric.solarize(noise, 100), expected)


def test_autocontrast_stretches_over_the_video():
    found = photometric.autocontrast(frames((50, 7, 0), (100, 7, 255))).numpy()
    assert tuple(found[0, 0, 0]) == (0, 7, 0)
    assert tuple(found[1, 0, 0]) == (255, 7, 255)


def test_equalize_flattens_the_histogram_of_the_video():
    ramp = np.arange(64, 128, dtype=np.uint8)  # a quarter of the range, evenly
    picture = np.broadcast_to(ramp[None, :, None, None], (2, 64, 64, 3))
    found = photometric.equalize(picture).numpy()[0, :, 0, 0].astype(int)
    assert found[0] == 0
    assert found[-1] == 255
    assert set(np.diff(found[:-2])) == {4, 5}
    flat = frames((9, 200, 0))
    np.testing.assert_array_equal(photometric.equalize(flat), flat)


def test_the_same_rule_as_pillow_for_one_image(noise):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not a dependency")
    from PIL import ImageEnhance, ImageOps

    picture = image.fromarray(noise[0])
    pairs = {
        "brightness": (ImageEnhance.Brightness, 1.4),
        "contrast": (ImageEnhance.Contrast, 0.6),
        "colour": (ImageEnhance.Color, 1.7),
        "sharpness": (ImageEnhance.Sharpness, 1.9),
    }
    for name, (enhance, factor) in pairs.items():
        found = getattr(photometric, name)(noise[:1], factor).numpy()[0]
        expected = np.asarray(enhance(picture).enhance(factor))
        # Pillow rounds gray and smoothed values before it blends, and cuts after.
        np.testing.assert_allclose(found.astype(int), expected, atol=2, err_msg=name)
    for name in ("equalize", "autocontrast"):
        found = getattr(photometric, name)(noise[:1]).numpy()[0]
        expected = np.asarray(getattr(ImageOps, name)(picture))
        np.testing.assert_allclose(found.astype(int), expected, atol=1, err_msg=name)
