"""Which splits and seeds an experiment repeats its training on."""

from dataclasses import dataclass

from stfn_keras.config.options import check_at_least, option
from stfn_keras.errors import UserError


@dataclass(frozen=True)
class RepeatConfig:
    """Splits and seeds; what differs between commands is in their help texts."""

    splits: tuple[int, ...] = option(
        (), "splits, such as 1,2,3, whose results are averaged; in place of --split"
    )
    seeds: int = option(1, "trainings per split, with seeds from --seed on")
    views: str = option("", "SxC: samplings and crops per test video; empty: centre")

    def __post_init__(self) -> None:
        check_at_least(self, 1, "seeds")
        if min(self.splits, default=1) < 1 or len(set(self.splits)) < len(self.splits):
            raise UserError(
                "--splits must be distinct numbers from 1 on, such as 1,2,3. Received: "
                f"{','.join(map(str, self.splits))}"
            )
