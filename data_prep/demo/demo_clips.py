"""The embedded demo set: labelled clips as real video files, in UCF101's layout.

    python -m data_prep demo-clips --out data/demo-clips

writes `videos/<Class>/v_<Class>_gNN_cMM.avi` and, as UCF101's official archive
holds them, `splits/classInd.txt`, `trainlist01..03.txt` and `testlist01..03.txt`.
What the clips show and why is in `demo_scenes`; nothing is downloaded. The same
settings give the same bytes with the same library versions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from tqdm import tqdm

from data_prep.demo.demo_render import render as render_frames
from data_prep.demo.demo_scenes import CLASSES, HEIGHT, WIDTH, draw_scene
from stfn_keras import flags
from stfn_keras.config import check_at_least, option
from stfn_keras.errors import UserError
from stfn_keras.files import read_json, write_json, write_text

RATE = 25  # frames per second, as UCF101
SPLITS = 3  # as UCF101
MARKER = "demo.json"  # the settings; what makes a folder ours

_VERSION = 1  # of the scenes; a change of any pixel raises it
_QUANTISER = 3  # MPEG-4's scale: 1 is best, 31 worst
_LAMBDA = 118  # FFmpeg's unit of quality per step of the quantiser


@dataclass(frozen=True)
class DemoConfig:
    """How many demo clips to render, and where."""

    out: str = option("", "folder to write: new, empty, or of these same settings")
    groups: int = option(9, "groups per class, 3 to 99; a third tests in each split")
    clips: int = option(3, "clips per class and group, 1 to 99")
    seed: int = option(0, "seed of all scenes, 0 or more")

    def __post_init__(self) -> None:
        check_at_least(self, SPLITS, "groups")
        check_at_least(self, 1, "clips")
        check_at_least(self, 0, "seed")
        for name in ("groups", "clips"):
            if getattr(self, name) > 99:
                raise UserError(
                    f"--{name} must be 99 or less: names have two digits. "
                    f"Received: {getattr(self, name)}"
                )


def render(
    out: Path,
    groups: int = DemoConfig.groups,
    clips: int = DemoConfig.clips,
    seed: int = DemoConfig.seed,
) -> None:
    """Render the demo set into a folder; a finished one is left as it is.

    Args:
        out: New, empty, or holding a demo set of the same settings. A set that was
            interrupted, or has lost a file, is rendered again as a whole.
        groups: Groups per class; a group is in the test list of one split.
        clips: Clips per class and group.
        seed: Of all scenes.

    Raises:
        UserError: A count is out of range, or the folder holds something else.
    """
    config = DemoConfig(str(out), groups, clips, seed)
    settings = {"version": _VERSION, "groups": groups, "clips": clips, "seed": seed}
    lists = _split_lists(config)
    names = [name for label in CLASSES for name in _names(config, label)]
    files = [*(f"videos/{name}" for name in names), *(f"splits/{n}" for n in lists)]
    if _is_finished(out, settings, files):
        print(f"{len(names)} demo clips are in {out} already: nothing to do")
        return
    write_json(out / MARKER, {**settings, "finished": False})
    with tqdm(total=len(names), desc="demo clips", unit="clip") as bar:
        # One scene for all classes: its looks name none of them.
        for group in range(1, groups + 1):
            for clip in range(1, clips + 1):
                scene = draw_scene(seed, group, clip)
                for label in CLASSES:
                    path = out / "videos" / _name(label, group, clip)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    # A key frame at the start of each act: neither is coded from
                    # the other, so the file tells no more of the order than pixels.
                    write_avi(path, render_frames(scene, label), scene.half)
                    bar.update()
    for name, text in lists.items():
        write_text(out / "splits" / name, text)
    write_json(out / MARKER, {**settings, "finished": True})
    print(
        f"{len(names)} demo clips of {len(CLASSES)} classes in {out / 'videos'}, "
        f"split lists in {out / 'splits'}"
    )


def write_avi(path: Path, frames: Iterable[np.ndarray], key_interval: int) -> None:
    """Write an XviD-tagged MPEG-4 AVI file, as UCF101's, at a fixed quantiser.

    Args:
        path: The file; its folder exists.
        frames: uint8 RGB, 0-255, (HEIGHT, WIDTH, 3) each.
        key_interval: Frames from one key frame to the next.
    """
    # The bit-exact flags leave out versions and dates: same frames, same bytes.
    with av.open(
        str(path), "w", format="avi", container_options={"fflags": "+bitexact"}
    ) as container:
        options = {
            "flags": "+qscale+bitexact",
            "global_quality": str(_QUANTISER * _LAMBDA),
            "sc_threshold": str(10**9),  # no key frame where a scene changes
        }
        stream = container.add_stream("mpeg4", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.codec_tag = "XVID"
        stream.codec_context.gop_size = key_interval
        stream.codec_context.thread_count = 1
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())


def _name(label: str, group: int, clip: int) -> str:
    return f"{label}/v_{label}_g{group:02d}_c{clip:02d}.avi"


def _names(config: DemoConfig, label: str, split: int = 0, test: bool = False) -> list:
    """Names of a class's clips: all, or those of one side of a split from 1 on."""
    return [
        _name(label, group, clip)
        for group in range(1, config.groups + 1)
        if not split or test == ((group - 1) * SPLITS // config.groups + 1 == split)
        for clip in range(1, config.clips + 1)
    ]


def _split_lists(config: DemoConfig) -> dict[str, str]:
    """File name -> text of UCF101's seven lists; only training lists hold labels."""
    numbers = {label: number for number, label in enumerate(CLASSES, 1)}
    lists = {"classInd.txt": [f"{numbers[label]} {label}" for label in CLASSES]}
    for split in range(1, SPLITS + 1):
        lists[f"trainlist{split:02d}.txt"] = [
            f"{name} {numbers[label]}"
            for label in CLASSES
            for name in _names(config, label, split, test=False)
        ]
        lists[f"testlist{split:02d}.txt"] = [
            name
            for label in CLASSES
            for name in _names(config, label, split, test=True)
        ]
    return {name: "\n".join(lines) + "\n" for name, lines in lists.items()}


def _is_finished(out: Path, settings: dict[str, int], files: Sequence[str]) -> bool:
    """Whether the folder holds this very set, all of it.

    Raises:
        UserError: It holds something else.
    """
    marker = out / MARKER
    if out.exists() and not out.is_dir():
        raise UserError(f"--out must be a folder. Received: {out}, a file")
    out.mkdir(parents=True, exist_ok=True)
    if not marker.exists():
        # A kill while the marker is first written leaves only its draft.
        if any(not e.name.startswith(f"{marker.stem}.partial") for e in out.iterdir()):
            raise UserError(
                f"--out must be new, empty, or hold demo clips. Received: {out}, which "
                f"has other files; choose another folder"
            )
        return False
    found = read_json(marker, "the settings of demo clips")
    held = {name: found.get(name) for name in settings}
    if held != settings:
        raise UserError(
            f"--out must be new or of the same settings: {settings}. Received: {out}, "
            f"rendered with {held}; choose another folder or delete it"
        )
    return found.get("finished") is True and all((out / n).is_file() for n in files)


def main(argv: Sequence[str]) -> None:
    """Render the set that the flags ask for."""
    config = flags.read(DemoConfig)
    if extra := [word for word in argv[1:] if word != "demo-clips"]:
        raise UserError(f"demo-clips takes flags only. Received: {' '.join(extra)}")
    if not config.out:
        raise UserError("--out must name the folder to write. Received: nothing")
    render(Path(config.out), config.groups, config.clips, config.seed)


def run() -> None:
    """Entry of `python -m data_prep demo-clips`."""
    flags.define(DemoConfig)
    flags.run(main)


if __name__ == "__main__":
    run()
