"""What happens in a demo clip: scenes and motions, without a pixel.

    scene = draw_scene(seed=0, group=1, clip=1)
    path = track(scene, "RiseThenFall")
    path.y  # (frames,) height of the object in pixels

A *scene* is all that chance decides: object, sizes, speeds, start phases, camera
jitter and, through its key, colours, background and noise (`demo_render`). It is
drawn from (seed, group, clip) alone, so every class films the same scenes and
nothing in a scene can predict a class.

Three kinds of difference, so that each stream and time itself are needed:

- `SlideDisc`, `SlideSquare`, `SlideTriangle` differ in appearance only: a shape with
  its pattern. The other classes draw one of the three, so none names a motion.
- Slide, `Bounce`, `Pulse`, `Spin` differ in motion only. Four clocks drive x, y,
  size and angle; in each class one runs and the others stand still at a uniformly
  random phase. A clock with a uniformly random start has the same law at every
  instant whether it runs or not, so a single frame has the same distribution
  in all of them.
- `RiseThenFall` and `FallThenRise` differ in the order of motions only.

Why order alone tells the last two apart. A clip has 2L frames. Let P and Q be two
acts of L frames: in P the object enters below the picture, rises through it and
leaves above it; in Q it falls from above to below at the same speed. In the first
and the last `MARGIN` frames of an act the object is outside of the picture. Jitter
and noise have period L. `RiseThenFall` shows P then Q, `FallThenRise` Q then P.
Take any window of at most MARGIN + 1 frames of the first:

- a window within one act is in the second class too, L frames later or sooner;
- a window across the middle has at most MARGIN frames in either act, so the object
  is in none of them, and the same frames stand in the middle of the second class.

Windows are thus matched one to one: for each scene both classes hold the same
multiset of frames, and of snippets of up to MARGIN + 1 = 6 frames (an RGB frame and
5 flow pairs). Whatever averages or counts independent snippets sees no difference.
A sampler that takes every n-th snippet meets the acts at slightly other offsets in
the two halves; the random start of each act blurs that.

A mirror image changes no class: nothing depends on left or right.
"""

from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 112, 80  # pixels
SNIPPET = 6  # frames: one RGB frame and 5 flow pairs
MARGIN = SNIPPET - 1  # frames without the object at both ends of an act
HALVES = (36, 37, 38, 39, 40)  # frames per act, L; a clip has twice as many
JITTER = 2.0  # pixels that the camera moves to either side, at most

# How far a shape reaches from its centre, in radii: their areas are then alike.
REACH = {"disc": 1.0, "square": 1.2, "triangle": 1.35}

# Class -> (motion, shape; None: any), sorted as UCF101's class list is.
CLASSES: dict[str, tuple[str, str | None]] = {
    "Bounce": ("bounce", None),
    "FallThenRise": ("fall_rise", None),
    "Pulse": ("pulse", None),
    "RiseThenFall": ("rise_fall", None),
    "SlideDisc": ("slide", "disc"),
    "SlideSquare": ("slide", "square"),
    "SlideTriangle": ("slide", "triangle"),
    "Spin": ("spin", None),
}

_AMPLITUDE = 18.0  # pixels that x and y swing to either side of their centre
_SWELL = 1.35  # the radius swings between 1 / 1.35 and 1.35 times its mean


@dataclass(frozen=True, eq=False)
class Scene:
    """All that chance decides in a clip: everything but its class.

    Phases are in cycles, lengths in pixels, times in frames, angles in radians.
    """

    key: tuple[int, int, int]  # seed, group, clip
    half: int  # L, frames per act
    shape: str  # of the object, where the class asks for none
    centre: tuple[float, float]  # x, y that the object swings about
    radius: float  # mean radius of the object
    angle: float  # of the object in the first frame
    phases: tuple[float, float, float]  # of x, y and size in the first frame
    speed: float  # pixels per frame of slide and bounce
    pulse: float  # frames per swelling and shrinking
    spin: float  # radians per frame, either way round
    passage: float  # frames from one end of a rise or fall to the other
    starts: tuple[float, float]  # of the rise and of the fall, within their acts
    jitter: np.ndarray  # (half, 2) camera position x, y


@dataclass(frozen=True, eq=False)
class Track:
    """Where the object is in each frame, before camera jitter.

    `x`, `y`, `radius` in pixels and `angle` in radians are float64 of shape
    (frames,); `shape` is one of `REACH`.
    """

    shape: str
    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    angle: np.ndarray

    @property
    def hidden(self) -> np.ndarray:
        """Bool (frames,): the object is outside of the picture, jitter included."""
        away = self.radius * REACH[self.shape] + JITTER
        return (self.y <= -1 - away) | (self.y >= HEIGHT + away)


def draw_scene(seed: int, group: int, clip: int) -> Scene:
    """Draw a scene.

    Args:
        seed: Of the whole set, 0 or more.
        group: Number of the group, from 1.
        clip: Number of the clip in its group, from 1.
    """
    rng = np.random.default_rng([seed, group, clip])
    half = int(rng.choice(HALVES))
    # An act holds its margins, the passage and 2 to 4 frames of freedom to start.
    freedom = rng.uniform(2.0, 4.0)
    rise, fall = MARGIN + rng.uniform(0.0, freedom, size=2)
    x_phase, y_phase, size_phase = rng.uniform(0.0, 1.0, size=3)
    return Scene(
        key=(seed, group, clip),
        half=half,
        shape=str(rng.choice(list(REACH))),
        centre=(WIDTH / 2 + rng.uniform(-4, 4), HEIGHT / 2 + rng.uniform(-3, 3)),
        radius=rng.uniform(12.5, 14.5),
        angle=rng.uniform(0.0, 2 * np.pi),
        phases=(x_phase, y_phase, size_phase),
        speed=rng.uniform(2.5, 4.0),
        pulse=rng.uniform(9.0, 13.0),
        spin=rng.uniform(0.2, 0.3) * rng.choice((-1, 1)),
        passage=half - 2 * MARGIN - freedom,
        starts=(rise, fall),
        jitter=_camera(rng, half),
    )


def track(scene: Scene, label: str) -> Track:
    """Move the scene's object as a class of `CLASSES` asks.

    Args:
        scene: From `draw_scene`.
        label: Name of the class.

    Returns:
        The object's state in each of the clip's `2 * scene.half` frames.
    """
    motion, shape = CLASSES[label]
    time = np.arange(2 * scene.half, dtype=np.float64)
    still = np.zeros_like(time)
    swing = scene.speed * time / (4 * _AMPLITUDE)  # cycles
    x_phase, y_phase, size_phase = scene.phases
    x = x_phase + (swing if motion == "slide" else still)
    y = y_phase + (swing if motion == "bounce" else still)
    size = size_phase + (time / scene.pulse if motion == "pulse" else still)
    radius = scene.radius * _SWELL ** _wave(size)
    height = scene.centre[1] + _AMPLITUDE * _wave(y)
    if motion in ("rise_fall", "fall_rise"):
        rise, fall = _acts(scene, radius[0])
        height = np.concatenate((rise, fall) if motion == "rise_fall" else (fall, rise))
    return Track(
        shape=shape or scene.shape,
        x=scene.centre[0] + _AMPLITUDE * _wave(x),
        y=height,
        radius=radius,
        angle=scene.angle + (scene.spin * time if motion == "spin" else still),
    )


def _wave(phase: np.ndarray) -> np.ndarray:
    """Triangle wave of period 1 between -1 and 1: constant speed to and fro."""
    return 4 * np.abs(phase % 1.0 - 0.5) - 1


def _acts(scene: Scene, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Heights y in the act of rising and in that of falling, (half,) each."""
    # The largest reach for all shapes: a shape must not set the speed.
    away = radius * max(REACH.values()) + JITTER
    ends = (HEIGHT + away, -1 - away)
    time = np.arange(scene.half)
    rise, fall = (
        np.clip((time - start) / scene.passage, 0.0, 1.0) for start in scene.starts
    )
    return np.interp(rise, (0, 1), ends), np.interp(fall, (0, 1), ends[::-1])


def _camera(rng: np.random.Generator, half: int) -> np.ndarray:
    """Smooth camera positions of period `half`, (half, 2), within JITTER pixels."""
    time = np.arange(half)[:, None, None] / half
    cycles = np.array([1, 2, 3])
    amplitudes = JITTER / 3 * rng.uniform(0.2, 1.0, size=(2, 3))
    phases = rng.uniform(0.0, 1.0, size=(2, 3))
    angles = 2 * np.pi * (time * cycles + phases)  # (half, 2, 3)
    return (amplitudes * np.sin(angles)).sum(axis=-1)
