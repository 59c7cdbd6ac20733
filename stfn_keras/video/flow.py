"""Optical flow by named, versioned presets, and its 8-bit code.

    field = compute("dis", previous_gray, next_gray)  # pixels per frame
    field = compute("warped_dis", previous_gray, next_gray)  # less the camera's motion
    code = quantise(field)  # uint8, 128 is no motion

A preset states every parameter of its algorithm, so that nothing rests on a
library's defaults; its version rises when any of them changes. A warped preset
first removes the camera's motion (`stfn_keras.video.camera`).
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from stfn_keras.config import FLOW_BOUND
from stfn_keras.errors import UserError
from stfn_keras.video.camera import CAMERA, align

WARPED = "warped_"  # before the name of the preset computed after the warp
EXTERNAL = "external"  # the field of flow that another program extracted

_MADE = threading.local()
# DIS at medium density crashes the process below this side, whatever the other.
MINIMUM_SIDE = 16

_DIS = {
    "CoarsestScale": -1,  # as many scales as the frame allows
    "FinestScale": 1,
    "PatchSize": 8,
    "PatchStride": 3,
    "GradientDescentIterations": 25,
    "VariationalRefinementIterations": 5,
    "VariationalRefinementAlpha": 20.0,
    "VariationalRefinementDelta": 5.0,
    "VariationalRefinementGamma": 10.0,
    "VariationalRefinementEpsilon": 0.01,
    "UseMeanNormalization": True,
    "UseSpatialPropagation": True,
}
_TVL1 = {
    "Tau": 0.25,
    "Lambda": 0.15,
    "Theta": 0.3,
    "Gamma": 0.0,
    "ScalesNumber": 5,
    "ScaleStep": 0.8,
    "WarpingsNumber": 5,
    "Epsilon": 0.01,
    "InnerIterations": 30,
    "OuterIterations": 10,
    "MedianFiltering": 5,
}


@dataclass(frozen=True)
class FlowPreset:
    """A flow algorithm with all of its parameters.

    Attributes:
        name: What users and datasets call it.
        version: Raised whenever a parameter changes.
        algorithm: `dis`, `tvl1` or `deepflow`.
        parameters: OpenCV's own parameter names and their values; those of the
            camera's motion too where it is removed.
        warped: Whether the camera's motion is removed first.
    """

    name: str
    version: int
    algorithm: str
    parameters: Mapping[str, Any]
    warped: bool = False


def _preset(name: str, algorithm: str, parameters: dict[str, Any]) -> FlowPreset:
    return FlowPreset(name, 1, algorithm, MappingProxyType(parameters))


def _warped(preset: FlowPreset) -> FlowPreset:
    parameters = MappingProxyType({**preset.parameters, **CAMERA})
    return FlowPreset(WARPED + preset.name, 1, preset.algorithm, parameters, True)


_PLAIN = (
    _preset("dis", "dis", _DIS),
    _preset("dis_fine", "dis", {**_DIS, "FinestScale": 0}),
    _preset("tvl1", "tvl1", _TVL1),
    _preset("tvl1_fast", "tvl1", {**_TVL1, "ScaleStep": 0.5, "Epsilon": 0.03}),
    _preset("deepflow", "deepflow", {}),
)
FLOW_PRESETS: Mapping[str, FlowPreset] = MappingProxyType(
    {preset.name: preset for preset in (*_PLAIN, *map(_warped, _PLAIN))}
)


def get_preset(name: str) -> FlowPreset:
    """Look up a preset that the installed OpenCV can compute.

    Raises:
        UserError: There is no such preset, OpenCV lacks its algorithm, or the flow
            was extracted by another program.
    """
    if name == EXTERNAL:
        raise UserError(
            f"the flow field {EXTERNAL!r} was extracted by another program and cannot "
            f"be computed here: choose among {', '.join(FLOW_PRESETS)}, or give "
            "existing extractions by --frames"
        )
    if name not in FLOW_PRESETS:
        raise UserError(
            f"--flow must name presets among {', '.join(FLOW_PRESETS)}. "
            f"Received: {name!r}"
        )
    preset = FLOW_PRESETS[name]
    if preset.algorithm != "dis" and not hasattr(cv2, "optflow"):
        raise UserError(
            f"flow preset {name!r} needs OpenCV's contrib modules, which this OpenCV "
            f"{cv2.__version__} lacks: pip uninstall opencv-python "
            "opencv-python-headless, then pip install --force-reinstall "
            "opencv-contrib-python-headless"
        )
    return preset


def compute(preset: str, prev_gray: np.ndarray, next_gray: np.ndarray) -> np.ndarray:
    """Compute the motion from one frame to the next.

    A warped preset gives the motion that is left once the next frame is warped back
    by the camera's motion: none where that leaves no data, and the plain preset's
    where the camera stands still or its motion cannot be told.

    Args:
        preset: A name in `FLOW_PRESETS`.
        prev_gray: uint8 (height, width), 0-255.
        next_gray: uint8 of the same shape.

    Returns:
        float32 (height, width, 2): u (positive to the right) and v (positive
        downwards), in pixels per frame. The same whatever was computed before.

    Raises:
        UserError: Unknown preset, OpenCV without contrib, frames smaller than
            `MINIMUM_SIDE` or of two sizes.
    """
    if min(prev_gray.shape) < MINIMUM_SIDE or prev_gray.shape != next_gray.shape:
        raise UserError(
            f"flow needs two frames of one size, {MINIMUM_SIDE} x {MINIMUM_SIDE} "
            f"pixels or more. Received: {prev_gray.shape} and {next_gray.shape}"
        )
    with single_thread():
        if not get_preset(preset).warped:
            return _flow(preset, prev_gray, next_gray)
        base = preset.removeprefix(WARPED)
        warped = align(prev_gray, next_gray)
        if warped is None:
            return _flow(base, prev_gray, next_gray)
        aligned, seen = warped
        field = _flow(base, prev_gray, aligned)
        field[~seen] = 0.0
        return field


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep OpenCV on one thread: flow scales by processes, not by threads."""
    threads = cv2.getNumThreads()
    if threads != 1:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        if threads != 1:
            cv2.setNumThreads(threads)


def _flow(name: str, prev_gray: np.ndarray, next_gray: np.ndarray) -> np.ndarray:
    algorithm = _algorithm(name)
    # DIS overwrites its own scales on small frames, and would keep them.
    for parameter, value in FLOW_PRESETS[name].parameters.items():
        # OpenCV before 4.12 has no such setter: it is always as many scales as fit.
        if parameter != "CoarsestScale" or hasattr(algorithm, "setCoarsestScale"):
            getattr(algorithm, f"set{parameter}")(value)
    return algorithm.calc(prev_gray, next_gray, None)


def _algorithm(name: str) -> Any:
    """The algorithm of a preset, one for each thread: it writes to itself."""
    made = _MADE.__dict__
    if name not in made:
        made[name] = _new_algorithm(name)
    return made[name]


def _new_algorithm(name: str) -> Any:
    preset = get_preset(name)
    if preset.algorithm == "dis":
        return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if preset.algorithm == "tvl1":
        return cv2.optflow.createOptFlow_DualTVL1()
    return cv2.optflow.createOptFlow_DeepFlow()


def quantise(flow: np.ndarray) -> np.ndarray:
    """Code flow in pixels per frame as uint8: clip(rint(127 f / 20) + 128, 1, 255).

    No motion is exactly 128, and the code of -f is exactly 256 minus that of f.

    Args:
        flow: float, any shape, pixels per frame at the stored size.

    Returns:
        uint8 of the same shape, 1-255.
    """
    code = np.rint(flow * (127.0 / FLOW_BOUND)) + 128.0
    return np.clip(code, 1, 255).astype(np.uint8)


def dequantise(code: np.ndarray) -> np.ndarray:
    """Turn codes (uint8, 1-255) back to float32 pixels per frame."""
    return (code.astype(np.float32) - 128.0) * np.float32(FLOW_BOUND / 127.0)


def colour(code: np.ndarray, full: float = FLOW_BOUND / 2) -> np.ndarray:
    """Paint coded flow for people: hue is direction, white is no motion.

    Args:
        code: uint8 (height, width, 2), 1-255.
        full: The speed, in pixels per frame, that gets full saturation.

    Returns:
        uint8 RGB (height, width, 3).
    """
    flow = dequantise(code)
    speed, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1], angleInDegrees=True)
    saturation = np.minimum(speed / full, 1.0) * 255
    value = np.full_like(speed, 255)
    # OpenCV stores hue in units of 2 degrees, so that it fits 8 bits.
    hsv = np.stack([angle / 2 % 180, saturation, value], axis=-1)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
