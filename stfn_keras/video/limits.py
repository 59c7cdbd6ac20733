"""What a video may be before it is refused, and what becomes of a damaged one.

    decoding = DecodingConfig(max_pixels=10_000_000, on_damaged="keep")

Declared values that exceed a limit are refused before a frame is decoded; headers
lie, so the limits are held while decoding as well.
"""

from dataclasses import dataclass

from stfn_keras.config import check_at_least, check_choices, option
from stfn_keras.errors import UserError


@dataclass(frozen=True)
class DecodingConfig:
    """Limits of decoding; what exceeds one is `too large` in the ledger."""

    on_damaged: str = option(
        "reject", "what becomes of a damaged video", ("reject", "keep")
    )
    min_fraction: float = option(
        0.5, "with --on_damaged=keep: share of the declared frames that must decode"
    )
    max_pixels: int = option(36_000_000, "pixels of a decoded frame at most (8K fits)")
    max_frames: int = option(500_000, "frames of a video at most")
    max_seconds: float = option(14_400.0, "duration of a video at most, in seconds")
    max_bytes: int = option(20_000_000_000, "size of a video file at most, in bytes")

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 1, "max_pixels", "max_frames", "max_bytes")
        check_at_least(self, 0.0, "max_seconds")
        if not 0.0 < self.min_fraction <= 1.0:
            raise UserError(
                f"--min_fraction must be in 0..1, 0 excluded. "
                f"Received: {self.min_fraction}"
            )


DEFAULT_DECODING = DecodingConfig()
