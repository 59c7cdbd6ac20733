"""Which files beside a video are results of ours: the JSON says so, and no name does.

    claim = Claim(Path("predictions/clip"), endings(window=False, draw=True), sources)
    claim.clear()  # what an earlier prediction wrote and this one will not
    claim.wanted   # (".json", ".png", ".mp4"), for the JSON's `files`

Nothing else is written over or removed, and never a video that is to be predicted.
"""

from collections.abc import Collection
from pathlib import Path

from stfn_keras.errors import UserError
from stfn_keras.files import aside_of, read_json

JSON, PICTURE, TABLE, SUBTITLES, DRAWN = ".json", ".png", ".csv", ".vtt", ".mp4"
ALL = (JSON, PICTURE, TABLE, SUBTITLES, DRAWN)
FILES = "files"  # of the JSON: the endings of what was written with it
_BEFORE = (JSON, PICTURE)  # what came with a JSON that does not say

Identity = tuple[int, int]  # of a file on this machine: device and number


def endings(window: bool, draw: bool) -> tuple[str, ...]:
    """What a prediction writes, of windows or of the whole video."""
    written = (JSON, TABLE, SUBTITLES) if window else (JSON, PICTURE)
    return (*written, DRAWN) if draw else written


def identities(paths: Collection[Path]) -> frozenset[Identity]:
    """Which files these are, by whatever name, as far as they are there."""
    found = set()
    for path in paths:
        try:
            about = path.stat()
        except (OSError, ValueError):  # a null character is in no name
            continue
        found.add((about.st_dev, about.st_ino))
    return frozenset(found)


class Claim:
    """The results of one video that may be written and removed.

    Args:
        stem: Path of the files, without their endings.
        wanted: Endings that will be written.
        sources: The videos to predict, which are no place for results.

    Raises:
        UserError: A file is in the way that no prediction made, or that is a source.
    """

    def __init__(
        self,
        stem: Path,
        wanted: tuple[str, ...],
        sources: frozenset[Identity] = frozenset(),
    ) -> None:
        self._stem = stem
        self.wanted = wanted
        self._recorded = self._read()
        for ending in dict.fromkeys((*wanted, *self._recorded)):
            path = self.path(ending)
            if sources and identities([path, aside_of(path)]) & sources:
                raise UserError(
                    f"--out must be a folder where no result takes the place of a "
                    f"video that is predicted. Received: {path}; choose another folder"
                )
            there = path.is_symlink() or path.exists()
            if there and ending not in self._recorded:
                raise UserError(
                    f"--out holds files that are no predictions of ours: {path}; "
                    "choose another folder"
                )

    def path(self, ending: str) -> Path:
        """The file that ends so."""
        return self._stem.with_name(self._stem.name + ending)

    def clear(self) -> None:
        """Remove what an earlier prediction wrote and this one does not.

        Its JSON is still there, so a process that is killed now leaves no file that
        the next one would not know.
        """
        for ending in self._recorded:
            if ending not in self.wanted:
                self.path(ending).unlink(missing_ok=True)

    def give_up(self, ending: str) -> None:
        """Want a file no longer; what an earlier prediction left of it goes."""
        self.wanted = tuple(wanted for wanted in self.wanted if wanted != ending)
        self.path(ending).unlink(missing_ok=True)

    def _read(self) -> tuple[str, ...]:
        """The endings that an earlier prediction's JSON says it wrote."""
        path = self.path(JSON)
        if not path.is_symlink() and not path.exists():
            return ()
        found = read_json(path, "a prediction")
        if not {"video", "model", "top"} <= set(found):
            return ()
        files = found.get(FILES, _BEFORE)
        files = files if isinstance(files, (list, tuple)) else _BEFORE
        return tuple(ending for ending in ALL if ending == JSON or ending in files)
