"""Recognise a camera or a file while it plays: `python -m stfn_keras.serving.live`.

A line is printed whenever the best class changes. `--headless` opens no window, `--out`
writes what is shown as a video; Ctrl-C ends the stream and keeps it.
"""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags as absl_flags

from stfn_keras import flags
from stfn_keras.errors import UserError
from stfn_keras.files import shown
from stfn_keras.quiet import import_keras_quietly
from stfn_keras.serving.sources import camera_number
from stfn_keras.video.limits import DecodingConfig
from stfn_keras.video.writer import VideoWriter, check_suffix


def define_flags() -> None:
    """Define every flag of the command."""
    absl_flags.DEFINE_string("model", None, "exported model", required=True)
    absl_flags.DEFINE_string("source", None, "a video file, or camera:0", required=True)
    absl_flags.DEFINE_float("every", 0.5, "seconds from a segment to the next")
    absl_flags.DEFINE_integer("top", 3, "classes to show", lower_bound=1)
    absl_flags.DEFINE_bool("headless", False, "open no window")
    absl_flags.DEFINE_string("out", "", "video file to write what is shown to")
    absl_flags.DEFINE_bool(
        "realtime", True, "play a file at its rate and drop what the network cannot "
        "keep up with; --norealtime: score every segment, as fast as may be",
    )  # fmt: skip
    absl_flags.DEFINE_float("speed", 1.0, "how many times as fast a file is played")
    absl_flags.DEFINE_float("seconds", 0.0, "end after so much of the stream; 0: never")
    absl_flags.DEFINE_integer(
        "threads", 0, "CPU threads of the network; 0: TensorFlow's choice", 0
    )
    flags.define(DecodingConfig)


def main(_: Sequence[str]) -> None:
    """Recognise the stream, show it, and say how it went."""
    values = absl_flags.FLAGS
    camera = camera_number(values.source)
    out = Path(values.out) if values.out else None
    if out:
        check_suffix(out, "--out")
        if out.exists():
            raise UserError(f"--out must be a new file. Received: {out}, which exists")
    if camera is not None and not values.realtime:
        raise UserError("a camera is watched in real time: leave out --norealtime")
    import_keras_quietly()
    from stfn_keras.serving.playing import play, watch
    from stfn_keras.serving.screen import Screen
    from stfn_keras.serving.sliding import SlidingNetwork
    from stfn_keras.serving.stream import StreamConfig, recognise

    if values.speed <= 0.0:
        raise UserError(f"--speed must be above 0. Received: {values.speed:g}")
    config = StreamConfig(
        values.every, values.realtime, values.speed if camera is None else 0.0,
        values.seconds,
    )  # fmt: skip
    frames = (
        play(values.source, flags.read(DecodingConfig))
        if camera is None
        else watch(camera)
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(frames))
        screen = None
        if not values.headless:
            title = shown(values.source)
            screen = stack.enter_context(contextlib.closing(Screen(title)))
        network = SlidingNetwork(Path(values.model), values.threads or None)
        drawn = _Shown(stack, out, screen, values.top, values.realtime)
        report = recognise(frames, network, config, drawn)
    print(report, file=sys.stderr)
    if out:
        print(f"video: {out}", file=sys.stderr)
    if report.fault:
        raise UserError(report.fault)


class _Shown:
    """Draws scores over frames, for the window and the file, and prints changes.

    Args:
        stack: Closes the file.
        out: The file; None for none.
        screen: The window; None for none.
        top: Classes to show.
        timed: Whether to tell how long an update takes, which no two runs share.
    """

    def __init__(
        self,
        stack: contextlib.ExitStack,
        out: Path | None,
        screen: Any,
        top: int,
        timed: bool,
    ) -> None:
        self._stack, self._out, self._screen = stack, out, screen
        self._top, self._timed = top, timed
        self._overlay: Any = None
        self._writer: VideoWriter | None = None
        self._label = ""

    def __call__(
        self, frame: np.ndarray, seconds: float, newest: Any, report: Any
    ) -> bool:
        """Show a frame; False once the window was closed."""
        from stfn_keras.serving.overlay import Overlay

        best = newest.top(self._top) if newest else []
        if best and best[0][0] != self._label:
            self._label = best[0][0]
            print(f"{seconds:9.2f} s  {best[0][1]:.4f}  {self._label}", flush=True)
        if self._out is None and self._screen is None:
            return True
        if self._overlay is None:
            height, width = frame.shape[:2]
            self._overlay = Overlay(height)
            if self._out is not None:
                writer = VideoWriter(self._out, height, width)
                self._writer = self._stack.enter_context(writer)
        note = ""
        if self._timed and report.seconds:
            note = f"{1000 * report.seconds[-1]:.0f} ms, {report.dropped} dropped"
        picture = self._overlay.draw(frame, best, note)
        if self._writer is not None:
            self._writer.add(picture, seconds)
        return self._screen is None or self._screen.show(picture)


def run() -> None:
    """Entry point of `python -m stfn_keras.serving.live`."""
    define_flags()
    flags.run(main)
