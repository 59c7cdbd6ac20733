"""Being asked to end: a cluster's SIGTERM, heard between two steps.

with Stopping() as stopping:
    ...
    if stopping.asked:
        save(); raise UserError(stopping.message("rgb", epoch=3, step=120))
"""

import signal
import threading
from types import FrameType
from typing import Any


class Stopping:
    """Hears SIGTERM while it is entered; elsewhere than in the main thread, nothing."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> "Stopping":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def message(self, stage: str, epoch: int, step: int) -> str:
        """What is said of the stage where it stopped; epoch and step from 1."""
        return (
            f"asked to end (SIGTERM) in epoch {epoch} of the {stage} stage, after step "
            f"{step}, which is kept: run the same command to go on"
        )
