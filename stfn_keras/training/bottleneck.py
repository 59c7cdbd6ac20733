"""Whether a stage waits for its input or its input for it, in words.

found = Throughput("rgb", 128, reading=900.0, input=90.0, step=120.0, both=84.0)
print(found.explained())
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

EVEN = 1.1  # rates nearer than this bind alike


@dataclass(frozen=True)
class Throughput:
    """How fast the parts of a training stage are, in videos per second.

    Attributes:
        stage: Its name.
        batch: Videos in a batch.
        reading: Of reading the records.
        input: Of reading, decoding and augmenting.
        step: Of the training step on a batch that is held in memory.
        both: Of training on the input.
    """

    stage: str
    batch: int
    reading: float
    input: float
    step: float
    both: float

    @property
    def binds(self) -> str:
        """`reading`, `decoding`, `step`, or `all` where input and step are as fast."""
        if self.step * EVEN < self.input:
            return "step"
        if self.input * EVEN < self.step:
            return "reading" if self.reading < 1.5 * self.input else "decoding"
        return "all"

    @property
    def waiting(self) -> float:
        """Share of a step's time that training loses to its input, 0 to 1."""
        return max(1.0 - self.both / self.step, 0.0)

    def figures(self) -> dict[str, Any]:
        """All of it, to be written as JSON."""
        derived = {"binds": self.binds, "waiting": self.waiting}
        return dataclasses.asdict(self) | derived

    def explained(self) -> str:
        """A table, and what to do."""
        rows = {
            "reading records": self.reading,
            "reading, decoding and augmenting": self.input,
            "training step, batch in memory": self.step,
            "training on the input": self.both,
        }
        table = [f"{name:<34}{rate:>12,.1f} videos/s" for name, rate in rows.items()]
        head = f"{self.stage} stage, batches of {self.batch} videos"
        return "\n".join([head, *table, self._advice()])

    def _advice(self) -> str:
        ratio = self.input / self.step
        if self.stage == "fusion":
            held = (
                "the cached features are mapped from the disk: keep them on a fast one"
            )
        elif self.binds == "reading":
            held = (
                "the records come too slowly: keep the data on a local or faster disk, "
                "or give --data_cache room for all shards"
            )
        else:
            held = (
                f"decoding binds: more CPU cores, smaller --{self.stage}_randaugment, "
                "or data prepared with a smaller --size"
            )
        if self.binds == "step":
            said = (
                f"the step binds: the input is {ratio:.1f} times as fast. A faster or "
                "further accelerator helps, --precision=bfloat16 where it has it, or a "
                "smaller network"
            )
        elif self.binds == "all":
            said = (
                f"input and step are as fast: neither waits for long. For more: {held}"
            )
        else:
            said = (
                f"the input binds: it is {ratio:.2f} times as fast as the step; {held}"
            )
        lost = self.waiting
        if self.binds == "step" and lost > 0.05:
            said += (
                f". Together {lost:.0%} is lost: the input takes its share of the "
                "cores that compute the step"
            )
        return said[0].upper() + said[1:]
