"""How videos become encoded snippets."""

from dataclasses import dataclass

from stfn_keras.config.options import check_at_least, check_choices, option
from stfn_keras.errors import UserError

FLOW_BOUND = 20.0  # pixels per frame at the stored size (T: TSN)
LAYOUTS = ("snippet", "dense")


@dataclass(frozen=True)
class PreparationConfig:
    """How videos become encoded snippets; carried by data and models alike."""

    flow: tuple[str, ...] = option(
        ("dis",), "flow presets to compute, comma-separated; warped_ may stand before"
    )
    layout: str = option(
        "snippet",
        "what is stored: evenly spread snippets, or every frame and pair once",
        LAYOUTS,
    )
    snippets: int = option(25, "snippets kept per video, evenly spread (T: TSN)")
    pairs: int = option(5, "flow pairs per snippet: 5 give 10 channels (T: TSN)")
    rgb_per_snippet: int = option(1, "consecutive RGB frames kept per snippet")
    size: str = option(
        "256", "short side in pixels at most (never enlarged), or WIDTHxHEIGHT"
    )
    flip: bool = option(True, "a mirror image keeps its class; --noflip where not")

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 1, "snippets", "pairs", "rgb_per_snippet")
        if not self.flow:
            raise UserError("--flow must name at least one preset. Received: none")
        parts = self.size.split("x")
        if len(parts) > 2 or not all(p.isdigit() and int(p) >= 16 for p in parts):
            raise UserError(
                "--size must be a short side such as 256, or WIDTHxHEIGHT such as "
                f"340x256, of 16 pixels or more. Received: {self.size!r}"
            )
