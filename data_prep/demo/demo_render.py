"""How a demo clip looks: the pixels of a scene, by NumPy and OpenCV.

    for frame in render(draw_scene(seed=0, group=1, clip=1), "RiseThenFall"):
        ...  # uint8 RGB, (HEIGHT, WIDTH, 3)

Looks are drawn from the scene's key, never from the class. A group's clips share
the texture of their background, as one place filmed several times.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from data_prep.demo.demo_scenes import HEIGHT, REACH, WIDTH, Scene, track

_BORDER = 4  # pixels of background beyond the picture, for the camera to move in
_SPRITE = 48  # side of an object's picture, in pixels
_UNIT = 16.0  # radius of the object in its picture, in pixels
_RIM = 2.5  # width of the object's plain edge in its picture, in pixels
_FINE = 4  # shapes are drawn this much larger, then averaged: smooth edges
_NOISE = 4.0  # standard deviation, in grey levels
_SPARE = 32  # pixels that the noise is larger than the picture


@dataclass(frozen=True, eq=False)
class _Looks:
    background: np.ndarray  # float32 RGB, 0-255, _BORDER larger than the picture
    tones: np.ndarray  # (2, 3) bright and dark RGB of the object, 0-255
    period: float  # of the object's pattern in its picture, pixels
    shift: np.ndarray  # (2,) phases of the pattern, radians
    noise: np.ndarray  # int16 RGB, _SPARE larger than the picture
    offsets: np.ndarray  # (half, 2) where each frame of an act cuts its noise


def render(scene: Scene, label: str) -> Iterator[np.ndarray]:
    """Draw the frames of a clip: uint8 RGB of shape (HEIGHT, WIDTH, 3), 0-255."""
    looks = _draw_looks(scene)
    path = track(scene, label)
    sprite = _sprite(looks, path.shape)
    hidden = path.hidden
    for t in range(2 * scene.half):
        u = t % scene.half  # jitter and noise have the period of an act
        x, y = scene.jitter[u]
        frame = _shifted(looks.background, x - _BORDER, y - _BORDER)
        if not hidden[t]:
            place = (path.x[t] + x, path.y[t] + y)
            layer = _placed(sprite, place, path.radius[t], path.angle[t])
            frame = frame * (1 - layer[..., 3:]) + layer[..., :3]
        top, left = looks.offsets[u]
        noise = looks.noise[top : top + HEIGHT, left : left + WIDTH]
        yield np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)


def _draw_looks(scene: Scene) -> _Looks:
    seed, group, clip = scene.key
    # A fourth number keeps these draws apart from those of `draw_scene`.
    place = np.random.default_rng([seed, group, 0, 1])
    rng = np.random.default_rng([seed, group, clip, 1])
    size = (HEIGHT + _SPARE, WIDTH + _SPARE, 3)
    return _Looks(
        background=_coloured(rng, _texture(place)),
        tones=_tones(rng),
        period=rng.uniform(12, 18),
        shift=rng.uniform(0, 2 * np.pi, size=2),
        noise=np.rint(rng.normal(0.0, _NOISE, size)).astype(np.int16),
        offsets=rng.integers(0, _SPARE, size=(scene.half, 2)),
    )


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Grey texture of a place, blobs, a grating and grain mixed, -1 to 1."""
    height, width = HEIGHT + 2 * _BORDER, WIDTH + 2 * _BORDER
    coarse = rng.normal(size=(int(rng.integers(4, 8)), int(rng.integers(5, 10))))
    blobs = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.mgrid[:height, :width]
    angle, period = rng.uniform(0, np.pi), rng.uniform(8, 20)
    across = rows * np.sin(angle) + columns * np.cos(angle)
    grating = np.sin(2 * np.pi * across / period)
    grain = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), 1.5) * 4
    weights = rng.dirichlet((2, 1, 2))
    mixed = weights[0] * blobs + weights[1] * grating + weights[2] * grain
    return np.clip(mixed / mixed.std() / 2, -1, 1)


def _coloured(rng: np.random.Generator, texture: np.ndarray) -> np.ndarray:
    """Float32 RGB picture of a texture between two random middling colours."""
    base = rng.uniform(90, 150, size=3)
    swing = rng.uniform(15, 35) * rng.choice((-1, 1)) + rng.uniform(-10, 10, size=3)
    return (base + texture[..., None] * swing).astype(np.float32)


def _tones(rng: np.random.Generator) -> np.ndarray:
    """A bright and a dark colour: they stand out in any place."""
    return np.stack([rng.uniform(190, 255, size=3), rng.uniform(0, 65, size=3)])


def _pattern(looks: _Looks, shape: str) -> np.ndarray:
    """Mix of the object's two tones, (_SPRITE, _SPRITE), 0-1, soft-edged.

    Discs have stripes, squares have checks and triangles are plain: local texture
    is what a small network without pre-training can learn from a few scenes.
    """
    if shape == "triangle":
        return np.zeros((_SPRITE, _SPRITE))
    across, down = np.meshgrid(*[np.arange(_SPRITE) - (_SPRITE - 1) / 2] * 2)
    cycles = 2 * np.pi / looks.period
    waves = np.sin(across * cycles + looks.shift[0])
    if shape == "square":
        waves = 2 * waves * np.sin(down * cycles + looks.shift[1])
    return np.clip(0.5 + 1.5 * waves, 0, 1)


def _sprite(looks: _Looks, shape: str) -> np.ndarray:
    """The object's picture: float32 (_SPRITE, _SPRITE, 4), premultiplied RGB, alpha.

    A rim in the bright tone draws the outline, whatever the pattern inside.
    """
    alpha = _mask(shape, _UNIT)
    mix = _pattern(looks, shape)[..., None] * _mask(shape, _UNIT - _RIM)
    colour = looks.tones[0] * (1 - mix) + looks.tones[1] * mix
    return np.concatenate([colour * alpha, alpha], axis=-1).astype(np.float32)


def _mask(shape: str, radius: float) -> np.ndarray:
    """Coverage of a shape in the middle of a sprite, (_SPRITE, _SPRITE, 1), 0-1."""
    large = np.zeros((_FINE * _SPRITE, _FINE * _SPRITE), np.float32)
    corners = {"disc": 64, "square": 4, "triangle": 3}[shape]
    turns = 2 * np.pi * np.arange(corners) / corners
    points = np.stack([np.cos(turns), np.sin(turns)], axis=1) * radius * REACH[shape]
    cv2.fillPoly(large, [np.rint((points + _SPRITE / 2) * _FINE).astype(np.int32)], 1.0)
    small = cv2.resize(large, (_SPRITE, _SPRITE), interpolation=cv2.INTER_AREA)
    return small[..., None]


def _placed(
    sprite: np.ndarray, place: tuple[float, float], radius: float, angle: float
) -> np.ndarray:
    """The sprite turned, scaled and put at a place, float32 (HEIGHT, WIDTH, 4)."""
    cos, sin = np.cos(angle) * radius / _UNIT, np.sin(angle) * radius / _UNIT
    middle = (_SPRITE - 1) / 2
    matrix = np.array(
        [
            [cos, -sin, place[0] - middle * (cos - sin)],
            [sin, cos, place[1] - middle * (sin + cos)],
        ]
    )
    return cv2.warpAffine(sprite, matrix, (WIDTH, HEIGHT))


def _shifted(background: np.ndarray, x: float, y: float) -> np.ndarray:
    """The background moved by x, y pixels, float32 (HEIGHT, WIDTH, 3)."""
    matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    return cv2.warpAffine(background, matrix, (WIDTH, HEIGHT))
