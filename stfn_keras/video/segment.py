"""A part of a video, from one second to another, counted as a video of its own.

segment = Segment(2.0, 4.5)
first, frames = segment.frames(seconds)
"""

from dataclasses import dataclass

import numpy as np

from stfn_keras.video.timing import interval


@dataclass(frozen=True)
class Segment:
    """The frames with start <= time < end.

    Attributes:
        start: In seconds since the video's first frame, 0 or more.
        end: Likewise, behind `start`.

    Raises:
        ValueError: It starts before 0 or does not end behind its start.
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.start < self.end < float("inf"):
            raise ValueError(
                "a segment starts at 0 or later and ends behind its start. "
                f"Received: {self.start} to {self.end} seconds"
            )

    def frames(self, seconds: np.ndarray) -> tuple[int, int]:
        """Index of the first frame inside, and how many are.

        Args:
            seconds: Of the video's frames since its first, float64 (frames,),
                increasing.
        """
        first, behind = np.searchsorted(seconds, (self.start, self.end))
        return int(first), int(behind - first)

    def there(self, seconds: np.ndarray) -> float:
        """The part of the wished duration, 0 to 1, that the video reaches."""
        if not len(seconds):
            return 0.0
        last = float(seconds[-1]) + interval(seconds)
        return max(min(last, self.end) - self.start, 0.0) / (self.end - self.start)
