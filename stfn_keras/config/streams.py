"""The streams by name: what a tower of its own reads of a segment's pixels.

STREAMS["dynamic_rgb"].reads  # "rgb"

A video's pixels are two inputs, `rgb` (`frames` RGB frames a segment, one behind the
other in the channels) and `flow` (`pairs` of them). Several streams may read one input.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stream:
    """What a stream's tower is shown.

    Attributes:
        reads: The input, `rgb` or `flow`.
        description: What of it, in a few words.
        least: The fewest frames, or flow pairs, of a segment that it is made of.
    """

    reads: str
    description: str
    least: int = 1


STREAMS = {
    "rgb": Stream("rgb", "the segment's first frame"),
    "flow": Stream("flow", "its flow pairs, one behind the other"),
    "difference": Stream("rgb", "differences of consecutive frames (TSN)", 2),
    "dynamic_rgb": Stream("rgb", "its frames as a dynamic image", 2),
    "dynamic_flow": Stream("flow", "its flow pairs as dynamic flow", 2),
}
