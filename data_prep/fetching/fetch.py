"""UCF101 and HMDB51, from their official archives to folders ready to prepare.

    python -m data_prep fetch ucf101 --out data/ucf101-videos
    python -m data_prep fetch hmdb51 --out data/hmdb51-videos --from hmdb51_org.rar

writes `videos/<Class>/*.avi` and `splits/*.txt`. Each of the two folders appears only
when it is complete and checked; until then everything lies in `.fetch`, from where
the same command continues. See `docs/fetch.md`.
"""

import dataclasses
import os
import re
import shlex
import shutil
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import flags as absl_flags
from filelock import FileLock, Timeout

from data_prep.fetching.archive import load_library, shown
from data_prep.fetching.download import download, is_address
from data_prep.fetching.fetch_checks import (
    archive_problems,
    count_videos,
    list_problems,
    video_problems,
)
from data_prep.fetching.sources import SOURCES, Archive, Source
from data_prep.fetching.unpack import MAX_BYTES, Found, unpack
from stfn_keras import flags
from stfn_keras.config import check_at_least, option
from stfn_keras.errors import UserError
from stfn_keras.files import read_json, write_json

MARKER = "fetch.json"  # what makes a folder ours
WORK = ".fetch"  # below the output folder, while work goes on

_FLAGS = {"splits": "--splits_from", "videos": "--from"}
_SHOWN = 5  # names in a message


@dataclass(frozen=True)
class FetchConfig:
    """Where the archives come from and where their content goes.

    Attributes:
        source: As `--from`: the archive of the videos, or its address; empty: the
            official address.
    """

    source: str = ""  # the flag --from, which cannot be a field's name
    splits_from: str = option(
        "", "archive of the official lists, or its address; empty: the official one"
    )
    out: str = option("", "folder to write: new, empty, or begun by this command")
    max_bytes: int = option(MAX_BYTES, "most bytes that an archive may unpack to")
    allow_partial: bool = option(
        False, "accept other archives, counts and lists than the official ones"
    )
    keep_archives: bool = option(False, "keep what was downloaded, in --out/.fetch")

    def __post_init__(self) -> None:
        check_at_least(self, 1, "max_bytes")


def fetch(dataset: str, config: FetchConfig) -> None:
    """Download, unpack and check a data set; continue, or find it finished.

    Args:
        dataset: A key of `SOURCES`.
        config: Where from and where to.

    Raises:
        UserError: The data set is unknown, the folder is not ours or in use, a
            download or an archive fails, or something is not as published.
    """
    if dataset not in SOURCES:
        raise UserError(
            f"fetch must be told one of {', '.join(SOURCES)}. Received: {dataset!r}"
        )
    if not config.out:
        raise UserError("--out must name the folder to write. Received: nothing")
    source, out = SOURCES[dataset], Path(config.out)
    if _is_finished(out, dataset):
        print(f"{source.title} is in {out} already: nothing to do")
        _print_next(dataset, out)
        return
    load_library()  # before gigabytes are downloaded
    work = out / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        with FileLock(work / "lock", timeout=0):
            write_json(out / MARKER, {"dataset": dataset, "finished": False})
            _make(dataset, source, config, out, work)
    except Timeout:
        raise UserError(
            f"--out must be free. Received: {out}, where another run is at work"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
    if not config.keep_archives:
        shutil.rmtree(work, ignore_errors=True)
    _print_next(dataset, out)


def _make(
    dataset: str, source: Source, config: FetchConfig, out: Path, work: Path
) -> None:
    """The lists first: they are small, and the videos are checked against them."""
    print(f"{source.title}'s terms of use and citation: {source.page}")
    for part, archive, given in (
        ("splits", source.splits, config.splits_from),
        ("videos", source.videos, config.source),
    ):
        if (out / part).is_dir():
            continue  # an earlier run published it, complete and checked
        staged = work / part
        path = _local(given or archive.address, part, archive, work)
        _begin(path, archive, staged, config.allow_partial)
        found = unpack(path, staged, archive.suffix, part == "videos", config.max_bytes)
        _print_found(path, found)
        if part == "splits":
            problems = list_problems(staged, archive)
        else:
            problems = video_problems(dataset, source, staged, out / "splits")
        _judge(problems, path, config.allow_partial)
        os.replace(staged, out / part)
    classes, videos = count_videos(out / "videos", source.videos.suffix)
    write_json(
        out / MARKER,
        {"dataset": dataset, "finished": True, "videos": videos, "classes": classes},
    )
    print(f"{videos:,} videos of {classes} classes in {out / 'videos'}")


def _is_finished(out: Path, dataset: str) -> bool:
    """Whether the folder holds this data set, all of it.

    Raises:
        UserError: It holds something else, or has lost videos.
    """
    marker = out / MARKER
    if out.exists() and not out.is_dir():
        raise UserError(f"--out must be a folder. Received: {out}, a file")
    if not marker.exists():
        # A kill before the marker is written leaves only the work folder.
        others = [e for e in out.iterdir() if e.name != WORK] if out.exists() else []
        if any(not e.name.startswith(f"{marker.stem}.partial") for e in others):
            raise UserError(
                f"--out must be new, empty, or begun by fetch. Received: {out}, which "
                "has other files; choose another folder"
            )
        return False
    held = read_json(marker, "the mark of fetch")
    if held.get("dataset") != dataset:
        raise UserError(
            f"--out must be new or hold {dataset}. Received: {out}, which holds "
            f"{held.get('dataset')}; choose another folder"
        )
    if not held.get("finished"):
        return False
    classes, videos = count_videos(out / "videos", SOURCES[dataset].videos.suffix)
    if (videos, classes) != (held.get("videos"), held.get("classes")):
        raise UserError(
            f"{out} must hold the {held.get('videos')} videos of "
            f"{held.get('classes')} classes that were fetched. Received: {videos} of "
            f"{classes}; delete the folder and fetch again"
        )
    return True


def _local(given: str, part: str, archive: Archive, work: Path) -> Path:
    """The archive as a local file, downloaded if it is an address."""
    flag = _FLAGS[part]
    if not is_address(given):
        path = Path(given)
        if not path.is_file():
            raise UserError(
                f"{flag} must be an archive or its address (http, https). "
                f"Received: {given}, which is no file"
            )
        return path
    last = urllib.parse.unquote(urllib.parse.urlsplit(given).path).rpartition("/")[2]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", last)[-100:].lstrip(".") or "archive"
    path = work / "archives" / part / name
    download(given, path, hint=f"{flag} FILE")
    return path


def _begin(path: Path, archive: Archive, staged: Path, allow_partial: bool) -> None:
    """Check an archive once, and forget what was unpacked from another one."""
    note = staged.with_name(f"{staged.name}.json")
    status = path.stat()
    mark = {"name": path.name, "bytes": status.st_size, "time": status.st_mtime_ns}
    held = read_json(note, "the note of an unpacking") if note.exists() else {}
    if held == mark:
        return
    # Another time alone: a damaged archive was replaced by a sound copy.
    if {**held, "time": 0} != {**mark, "time": 0}:
        if staged.is_dir():
            print(f"{path} is not the archive of an earlier run: starting anew")
        for old in staged.parent.glob(f"{staged.name}*"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    if path.name == archive.name:  # other names are other archives: counts decide
        _judge(archive_problems(path, archive), path, allow_partial)
    write_json(note, mark)


def _judge(problems: Sequence[str], path: Path, allow_partial: bool) -> None:
    """Raise the problems of an archive, or only tell them if that is allowed."""
    if problems and not allow_partial:
        raise UserError(
            f"{path} is not as published: {'; '.join(problems)}. Get it again (delete "
            "a download first), or pass --allow_partial to accept it"
        )
    for problem in problems:
        print(f"accepted as it is: {path}: {problem}")


def _print_found(path: Path, found: Found) -> None:
    """What was left out, and what was taken without a checksum to compare."""
    for names, what in (
        (found.ignored, "other files left out"),
        (found.unchecked, "files not checked, for want of a checksum of their own"),
    ):
        if names:
            some = ", ".join(map(shown, names[:_SHOWN]))
            more = ", ..." if len(names) > _SHOWN else ""
            print(f"{path.name}: {len(names):,} {what}: {some}{more}")


def _print_next(dataset: str, out: Path) -> None:
    print(
        f"prepare it with:\n  python -m data_prep --videos {_quoted(out / 'videos')} "
        f"--split_lists {_quoted(out / 'splits')} --protocol {dataset} "
        f"--out data/{dataset} --flow dis"
    )


def _quoted(path: Path) -> str:
    """A path as one word of a shell's command."""
    return shlex.quote(str(path))


def main(argv: Sequence[str]) -> None:
    """Fetch the data set that the arguments name."""
    words = [word for word in argv[1:] if word != "fetch"]
    if len(words) != 1:
        raise UserError(
            f"fetch must be told one data set: {' or '.join(SOURCES)}. "
            f"Received: {' '.join(words) or 'nothing'}"
        )
    source = absl_flags.FLAGS["from"].value or ""
    fetch(words[0], dataclasses.replace(flags.read(FetchConfig), source=source))


def run() -> None:
    """Entry of `python -m data_prep fetch`."""
    absl_flags.DEFINE_string(
        "from", "", "archive of the videos, or its address; empty: the official one"
    )
    flags.define(FetchConfig)
    flags.run(main, positional=True)


if __name__ == "__main__":
    run()
