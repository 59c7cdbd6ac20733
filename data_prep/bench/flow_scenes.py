"""Rendered sequences whose dense motion is known exactly, to measure flow by.

    for scene in make_scenes(340, 256):
        frames = [scene.render(time) for time in range(3)]
        scene.motion(0)  # pixels per frame, from frame 0 to frame 1
        scene.motion(0, residual=True)  # once the camera's own motion is removed

A scene is a stack of layers. Each has a texture, a smooth function of the plane
rather than an image, so that no resampling lies between the motion and the pixels,
and an affine map M that moves it by one frame: a point at x is at M x in the next.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

BAND = 5  # pixels from a discontinuity that count as its boundary

Texture = Callable[[np.ndarray, np.ndarray], np.ndarray]
Matrix = np.ndarray  # float64 (3, 3)


@dataclass(frozen=True)
class Layer:
    """A textured surface in affine motion.

    Attributes:
        texture: Grey level, 0-255, of points of the surface.
        step: float64 (3, 3): where its points are one frame later.
        distance: Signed distance from the surface's outline in pixels, negative
            inside; None for a surface without end.
    """

    texture: Texture
    step: Matrix
    distance: Texture | None = None


@dataclass(frozen=True)
class Scene:
    """Layers, from the back to the front; the camera's motion is that of the first.

    Attributes:
        name: What the table calls it.
        width: In pixels.
        height: In pixels.
        layers: At least one; the first is without end.
        noise: Standard deviation of the sensor's noise in grey levels.
    """

    name: str
    width: int
    height: int
    layers: tuple[Layer, ...]
    noise: float = 0.0

    def render(self, time: int) -> np.ndarray:
        """The frame at a time from 0 on: uint8 (height, width)."""
        image = np.zeros((self.height, self.width))
        for layer in self.layers:
            x, y = _surface(layer, time, *self._grid())
            grey = layer.texture(x, y)
            if layer.distance is None:
                image = grey
            else:
                # The share of the pixel that the surface covers.
                share = np.clip(0.5 - layer.distance(x, y), 0.0, 1.0)
                image = share * grey + (1.0 - share) * image
        if self.noise:
            image = image + np.random.default_rng(time).normal(
                0, self.noise, image.shape
            )
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)

    def motion(self, time: int, residual: bool = False) -> np.ndarray:
        """The motion from one frame to the next.

        Args:
            time: Of the frame whose pixels move.
            residual: Whether the next frame is first warped back by the camera's
                motion, which leaves that of the front layers against it.

        Returns:
            float64 (height, width, 2): u, v in pixels.
        """
        x, y = self._grid()
        front = self.front(time)
        back = np.linalg.inv(self.layers[0].step) if residual else np.eye(3)
        field = np.zeros((self.height, self.width, 2))
        for number, layer in enumerate(self.layers):
            moved = _apply(back @ layer.step, x, y)
            here = front == number
            field[here] = np.stack([moved[0] - x, moved[1] - y], axis=-1)[here]
        return field

    def front(self, time: int) -> np.ndarray:
        """Which layer each pixel's centre shows: int (height, width)."""
        shown = np.zeros((self.height, self.width), int)
        for number, layer in enumerate(self.layers):
            if layer.distance is not None:
                inside = layer.distance(*_surface(layer, time, *self._grid())) < 0
                shown[inside] = number
        return shown

    def boundary(self, time: int) -> np.ndarray:
        """Pixels within `BAND` of another layer's: bool (height, width)."""
        shown = self.front(time).astype(np.float32)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND + 1,) * 2)
        return cv2.dilate(shown, kernel) != cv2.erode(shown, kernel)

    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        x, y = np.meshgrid(np.arange(self.width), np.arange(self.height))
        return x.astype(float), y.astype(float)


def make_scenes(width: int, height: int) -> list[Scene]:
    """The eight sequences, at a size in pixels; motion in pixels stays the same."""
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    short = min(width, height)

    def about(
        linear: list[list[float]], right: float = 0, down: float = 0
    ) -> np.ndarray:
        """An affine map about the middle of the frame, then a shift."""
        step = np.eye(3)
        step[:2, :2] = linear
        step[:2, 2] = middle - step[:2, :2] @ middle + (right, down)
        return step

    def shift(right: float, down: float) -> Matrix:
        return about([[1, 0], [0, 1]], right, down)

    def turn(degrees: float, right: float = 0, down: float = 0) -> Matrix:
        angle = np.deg2rad(degrees)
        cos, sin = np.cos(angle), np.sin(angle)
        return about([[cos, -sin], [sin, cos]], right, down)

    def scene(name: str, *layers: Layer, noise: float = 0.0) -> Scene:
        return Scene(name, width, height, layers, noise)

    rich = _texture(0)
    disc = _disc(middle + (0.15 * short, -0.05 * short), 0.28 * short)
    square = _square(middle + (-0.15 * short, 0.1 * short), 0.17 * short)
    return [
        scene("subpixel", Layer(rich, shift(0.4, -0.3))),
        scene("5 px", Layer(rich, shift(4.0, -3.0))),
        scene("15 px", Layer(rich, shift(12.0, 9.0))),
        scene("rotation", Layer(rich, turn(3.0))),
        scene("zoom", Layer(rich, about([[1.03, 0], [0, 1.03]]))),
        scene(
            "occlusion",
            Layer(rich, shift(2.0, 0.5)),
            Layer(_texture(1), shift(-5.0, 2.5), disc),
        ),
        scene(
            "pan",
            Layer(rich, turn(0.3, 8.0, 1.0)),
            Layer(_texture(2), shift(6.0, -4.0), square),
        ),
        scene(
            "faint",
            Layer(_texture(3, contrast=12.0), about([[1.002, 0.004], [-0.001, 0.998]])),
            noise=2.0,
        ),
    ]


def _texture(seed: int, waves: int = 90, contrast: float = 70.0) -> Texture:
    """A random smooth surface: waves of 5 to 120 pixels, fine ones where it is bright.

    So a frame has detailed and nearly flat parts, as those of a film.
    """
    rng = np.random.default_rng(seed)
    length = 5.0 * 24.0 ** rng.random(waves)  # 5 to 120 pixels
    angle = rng.random(waves) * 2 * np.pi
    phase = rng.random(waves) * 2 * np.pi
    across = 2 * np.pi * np.cos(angle) / length
    along = 2 * np.pi * np.sin(angle) / length
    weight = length**0.5 / np.sqrt((length / 2).sum())  # unit variance in all

    def grey(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        coarse, fine = np.zeros_like(x), np.zeros_like(x)
        for a, b, c, w, wave in zip(across, along, phase, weight, length, strict=True):
            total = coarse if wave > 30.0 else fine
            total += w * np.cos(a * x + b * y + c)
        surface = coarse + fine * (1.0 + np.tanh(2.0 * coarse))
        return 128.0 + contrast * np.tanh(surface)

    return grey


def _disc(middle: np.ndarray, radius: float) -> Texture:
    return lambda x, y: np.hypot(x - middle[0], y - middle[1]) - radius


def _square(middle: np.ndarray, half: float) -> Texture:
    return lambda x, y: np.maximum(abs(x - middle[0]), abs(y - middle[1])) - half


def _surface(
    layer: Layer, time: int, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which points of a layer's surface lie at pixels at a time."""
    return _apply(np.linalg.matrix_power(np.linalg.inv(layer.step), time), x, y)


def _apply(step: Matrix, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    (a, b, c), (d, e, f) = step[:2]
    return a * x + b * y + c, d * x + e * y + f
