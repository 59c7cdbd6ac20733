"""What a run is exported as, and what its formats must pass."""

from dataclasses import dataclass

from stfn_keras.config.options import check_at_least, option
from stfn_keras.errors import UserError
from stfn_keras.serving.formats import FORMATS
from stfn_keras.serving.runtimes.open import format_name


@dataclass(frozen=True)
class ExportConfig:
    """Settings of an export; each is a flag of the command."""

    formats: tuple[str, ...] = option(
        ("saved_model",),
        f"what to publish besides the SavedModel: all, or some of {', '.join(FORMATS)}",
    )
    parity_videos: int = option(
        0, "test videos on which the formats are compared, at most; 0: every one"
    )
    calibration_videos: int = option(
        64, "training videos, spread over the classes, that int8 is calibrated on"
    )
    max_drop: float = option(
        0.01,
        "accuracy (0 to 1) that a format of reduced precision may lose to be published",
    )
    allow_refused: bool = option(
        False, "exit with status 0 although a format was refused"
    )
    bench: bool = option(
        False, "measure latency at batch 8 as well, and print a table of the formats"
    )

    def __post_init__(self) -> None:
        check_at_least(self, 0, "parity_videos")
        if not 0 <= self.max_drop <= 1:
            raise UserError(
                f"--max_drop must be in 0..1; 0.03 is 3 %. Received: {self.max_drop}"
            )
        check_at_least(self, 1, "calibration_videos")
        object.__setattr__(self, "formats", _wanted(self.formats))


def _wanted(names: tuple[str, ...]) -> tuple[str, ...]:
    """Full names in the table's order; the SavedModel, which others need, always."""
    if "all" in names:
        return tuple(FORMATS)
    wanted = {"saved_model", *map(format_name, names)}
    return tuple(name for name in FORMATS if name in wanted)


DEFAULT_EXPORT = ExportConfig()
