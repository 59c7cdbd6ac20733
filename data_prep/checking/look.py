"""Look at a dataset: `python -m data_prep inspect DIR [VIDEO]`.

Prints what a dataset holds, or one video of it, and draws a contact sheet: frames
over their flow in colour. The dataset is only read. The sheet is `NAME.png` in the
current folder, or `NAME-2.png` and so on where that exists: no file is written over.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from data_prep.checking import facts
from data_prep.checking.contact_sheet import draw_dataset, draw_video
from data_prep.checking.flow_statistics import FlowHistogram, FlowStatistics
from data_prep.checking.stored import StoredVideo, read_videos
from stfn_keras import flags
from stfn_keras.config import check_at_least, option
from stfn_keras.data.index import Indexed, iterate_index, read_index
from stfn_keras.data.ledger import read_ledger
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.remote import CacheConfig, location_of, mirror
from stfn_keras.errors import UserError

_NAMED = 5  # videos that a message about an unclear name lists
_LONGEST = 60  # characters of a video's name in a sheet's
_SEGMENT = re.compile(r"#t=[^/#]+,[^/#]+$")  # ends the id of a part of a video


@dataclass(frozen=True)
class LookConfig:
    """What to look at, and where to draw it."""

    out: str = option("", "PNG to draw; default: NAME.png in the current folder")
    videos: int = option(50, "videos whose flow the statistics are taken from")
    rows: int = option(8, "videos on the contact sheet, of as many classes as possible")
    seed: int = option(0, "of the choice of videos")

    def __post_init__(self) -> None:
        check_at_least(self, 1, "videos", "rows")
        check_at_least(self, 0, "seed")
        if self.rows > 24:
            raise UserError(f"--rows must be 24 or less. Received: {self.rows}")


def main(argv: Sequence[str]) -> None:
    """Print the facts and draw the sheet that the arguments ask for.

    Args:
        argv: The program, a dataset directory and, if one video is meant, its id or
            a part of it.

    Raises:
        UserError: There is no such dataset or video, or the sheet cannot be written.
    """
    if not 2 <= len(argv) <= 3:
        raise UserError(
            "inspect needs a dataset directory and, if wanted, a video's name. "
            f"Received: {' '.join(argv[1:]) or 'nothing'}"
        )
    folder = mirror(argv[1], flags.read(CacheConfig))
    config = flags.read(LookConfig)
    manifest = Manifest.load(folder)
    if len(argv) == 3:
        row = find_video(folder, argv[2])
        sheet = sheet_path(folder, config.out, stem(row.path))
        (video,) = read_videos(folder, manifest, [row])
        lines = facts.video_facts(video)
        lines += ["", *facts.flow_facts(flow_statistics([video]), 1)]
        draw_video(video, sheet)
    else:
        sheet = sheet_path(folder, config.out)
        rows = read_index(folder)
        lines = facts.dataset_facts(folder, manifest, rows, read_ledger(folder))
        if rows:
            sample = draw_sample(rows, config.videos, config.seed)
            found = flow_statistics(read_videos(folder, manifest, sample))
            lines += ["", *facts.flow_facts(found, len(sample))]
            shown = draw_sample(rows, config.rows, config.seed)
            draw_dataset(
                folder, manifest, list(read_videos(folder, manifest, shown)), sheet
            )
    print("\n".join(lines))
    print(f"\nsheet: {sheet}")


def run() -> None:
    """Entry of `python -m data_prep inspect`."""
    flags.define(LookConfig)
    flags.define(CacheConfig)
    flags.run(main, positional=True)


def find_video(folder: Path, name: str) -> Indexed:
    """The row of a dataset's video, by its id or a part of it that no other has.

    Raises:
        UserError: No video has it, or several have.
    """
    found = []
    for row in iterate_index(folder):
        if row.path == name:
            return row
        if name in row.path:
            found.append(row)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(
            f"expected a video's id, or a part of one. Received: {name!r}, which no "
            f"video in {location_of(folder)} has; videos.csv lists them, ledger.csv "
            "those left out"
        )
    some = ", ".join(facts.printable(row.path) for row in found[:_NAMED])
    raise UserError(
        f"expected a part of one video's id. Received: {name!r}, which {len(found)} "
        f"videos have: {some}{', ...' if len(found) > _NAMED else ''}"
    )


def draw_sample(rows: Sequence[Indexed], count: int, seed: int) -> list[Indexed]:
    """Draw videos, of as many classes as possible, in equal numbers if there are.

    Returns:
        `count` of the rows, or all if there are fewer; class by class.
    """
    draws = np.random.default_rng(seed)
    by_class: dict[str, list[Indexed]] = {}
    for index in draws.permutation(len(rows)):
        by_class.setdefault(rows[index].label, []).append(rows[index])
    labels = [list(by_class)[i] for i in draws.permutation(len(by_class))]
    turns = max(map(len, by_class.values()))
    dealt = [
        by_class[label][turn]
        for turn in range(turns)
        for label in labels
        if turn < len(by_class[label])
    ]
    return sorted(dealt[:count], key=lambda row: (row.label, row.path))


def flow_statistics(videos: Iterable[StoredVideo]) -> dict[str, FlowStatistics]:
    """Statistics of the flow of all snippets of some videos, by field."""
    histograms: dict[str, FlowHistogram] = {}
    fields = {}
    for video in videos:
        fields = video.manifest.flow
        for field in fields:
            histogram = histograms.setdefault(field, FlowHistogram())
            for snippet in range(video.manifest.snippets):
                histogram.add(video.codes(field, snippet))
    return {
        name: histogram.statistics(fields[name]["bound"])
        for name, histogram in histograms.items()
    }


def stem(path: str) -> str:
    """A video's name without folder and suffix; of a segment, with its times."""
    found = _SEGMENT.search(path)
    segment = found[0] if found else ""
    name = PurePosixPath(path.removesuffix(segment)).stem
    return name[: max(_LONGEST - len(segment), 0)] + segment


def sheet_path(folder: Path, out: str, video: str = "") -> Path:
    """Where to draw: what is asked for, or a name that is free.

    Args:
        folder: The dataset.
        out: `--out`; empty for a name in the current folder.
        video: The video's `stem`, if one is drawn.

    Raises:
        UserError: The file exists, is no PNG, or would lie inside the dataset.
    """
    if out:
        path = Path(out)
        if path.suffix.lower() != ".png":
            raise UserError(f"--out must be a .png file. Received: {out}")
        if path.exists():
            raise UserError(f"--out must be a new file. Received: {out}, which exists")
    else:
        name = "-".join(
            filter(
                None,
                [
                    Path(location_of(folder.resolve())).name,
                    facts.printable(video)[:_LONGEST],
                ],
            )
        )
        path, number = Path(f"{name}.png"), 1
        while path.exists():
            number += 1
            path = Path(f"{name}-{number}.png")
    if path.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"--out must lie outside the dataset, which is only read. Received: {path}"
        )
    return path
