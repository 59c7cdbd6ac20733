"""Settings of hand-crafted features: what is extracted, and how it is encoded.

    ExtractionConfig(size=160)        # of descriptors, which all splits share
    EncodingConfig(features="mifs")   # of one split's scores

Marks: T stated by the published methods, C our choice (docs/models/idt.md).
"""

from dataclasses import dataclass

from stfn_keras.config import check_at_least, check_choices, option
from stfn_keras.errors import UserError
from stfn_keras.trajectories.histograms import TIME_CELLS
from stfn_keras.video.flow import WARPED, get_preset

MIFS_SKIPS = (0, 1, 2)


@dataclass(frozen=True)
class ExtractionConfig:
    """Of trajectories and their descriptors; independent of splits and classes."""

    size: int = option(
        0, "short side of the frames at most, in pixels; 0: as they are (T)"
    )
    scales: int = option(8, "spatial scales at most, each 1 / sqrt(2) of the last (T)")
    step: int = option(5, "pixels between points that are sampled (T)")
    length: int = option(15, "frames that a trajectory is followed for (T)")
    flow: str = option("dis", "flow preset, a plain one (C)")
    camera: bool = option(True, "remove the camera's motion (T: improved trajectories)")
    max_trajectories: int = option(
        5000, "of each video and frame skip, drawn evenly among all of them (C)"
    )

    def __post_init__(self) -> None:
        check_at_least(self, 0, "size")
        check_at_least(self, 1, "scales", "step", "max_trajectories")
        if self.length < TIME_CELLS or self.length % TIME_CELLS:
            raise UserError(
                f"--length must be a multiple of {TIME_CELLS}, the cells in time. "
                f"Received: {self.length}"
            )
        if get_preset(self.flow).warped:
            plain = self.flow.removeprefix(WARPED)
            raise UserError(
                "--flow must be a plain preset: points are followed with the "
                f"camera's motion, which --camera removes. Received: {self.flow}; "
                f"take {plain}"
            )


@dataclass(frozen=True)
class EncodingConfig:
    """Of the Fisher vectors of one split, and of its classifiers."""

    features: str = option(
        "idt",
        "improved dense trajectories, or the same at several frame skips (mifs)",
        ("idt", "mifs"),
    )
    skips: tuple[int, ...] = option(
        MIFS_SKIPS, "of mifs: skip l takes every (l + 1)-th frame (C: three levels)"
    )
    clusters: int = option(256, "Gaussians of each kind of descriptor (T)")
    sample: int = option(
        256_000,
        "training descriptors, at most, that PCA and Gaussians are fitted on (T)",
    )
    iterations: int = option(30, "of expectation maximisation, at most (C)")
    cost: float = option(100.0, "C of the linear support vector machines (T)")
    seed: int = option(0, "of the sample and of the Gaussians' start")

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 1, "clusters", "sample", "iterations")
        check_at_least(self, 0, "seed")
        if self.cost <= 0:
            raise UserError(f"--cost must be above 0. Received: {self.cost}")
        if (
            not self.skips
            or min(self.skips) < 0
            or len(set(self.skips)) < len(self.skips)
        ):
            raise UserError(
                "--skips must be different numbers from 0 on, such as 0,1,2. "
                f"Received: {','.join(map(str, self.skips))}"
            )

    @property
    def levels(self) -> tuple[int, ...]:
        """The frame skips in use, ascending; of idt 0 alone."""
        return (0,) if self.features == "idt" else tuple(sorted(self.skips))
