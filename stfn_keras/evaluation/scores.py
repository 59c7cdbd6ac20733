"""Scores of videos and the file they are kept in (NumPy only, no TensorFlow).

    scores.save(Path("scores.npz"))
    scores = Scores.load(Path("scores.npz"))  # every damage is an error
    scores.probabilities                      # softmax, float64 (N, C)

`scores.npz` holds `video_id` (N,), `label` (N,) int, `logits` (N, C) float32 and
`classes` (C,); logits of single streams, `<stream>_logits`, may lie beside them.
"""

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stfn_keras.errors import UserError
from stfn_keras.files import written_aside

ARRAYS = ("video_id", "label", "logits", "classes")
MAX_BYTES = 4 << 30  # of all arrays; a small zip may claim to hold far more


@dataclass(frozen=True)
class Scores:
    """Logits by video.

    Attributes:
        video_id: str (N,).
        label: int64 (N,), indices into `classes`.
        logits: float32 (N, C), the mean over the views.
        classes: str (C,).
        streams: The same for each stream's own classifier, where there is one.
        view_right: float64 (N,), the share of each video's views that are right on
            their own; None where they were not scored apart. It is not kept in files.
    """

    video_id: np.ndarray
    label: np.ndarray
    logits: np.ndarray
    classes: np.ndarray
    streams: dict[str, np.ndarray] = field(default_factory=dict)
    view_right: np.ndarray | None = None

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float64 (N, C)."""
        return softmax(self.logits)

    def save(self, path: Path) -> None:
        """Write `scores.npz`: video_id, label, logits, classes and stream logits."""
        with written_aside(path) as aside:
            arrays: dict[str, Any] = {
                "video_id": self.video_id,
                "label": self.label,
                "logits": self.logits,
                "classes": self.classes,
                **self.streams,
            }
            np.savez(aside, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Scores":
        """Read a score file.

        Raises:
            UserError: It is damaged, holds Python objects, or is no score file: an
                array is missing or of another shape or type, an id or a class occurs
                twice, a label is out of range, a score is not finite.
        """
        arrays = _arrays(path)
        if missing := [name for name in ARRAYS if name not in arrays]:
            raise UserError(
                f"{path} must hold {', '.join(ARRAYS)}. Received: "
                f"{', '.join(arrays) or 'no array'}; {missing[0]} is missing"
            )
        return checked(path, **arrays)


def checked(
    path: Path,
    video_id: np.ndarray,
    label: np.ndarray,
    logits: np.ndarray,
    classes: np.ndarray,
    **others: np.ndarray,
) -> Scores:
    """Scores that were read from a file, if nothing is wrong with them.

    Args:
        path: Named by the errors.
        video_id: See `Scores`; so are the next three.
        label: Of any integer type.
        logits: Of any floating type or integer.
        classes: Names.
        others: Logits of streams are kept, anything else is left out.

    Raises:
        UserError: As of `Scores.load`.
    """
    video_id, classes = (
        _text(path, "video_id", video_id),
        _text(path, "classes", classes),
    )
    _check_distinct(path, "video_id", video_id)
    _check_distinct(path, "classes", classes)
    if label.dtype.kind not in "iu" or label.shape != video_id.shape:
        raise UserError(
            f"{path}: label must be integers, one for each of the {len(video_id)} "
            f"videos. Received: {label.dtype} of shape {label.shape}"
        )
    outside = (label < 0) | (label >= len(classes))
    if outside.any():
        where = int(outside.argmax())
        raise UserError(
            f"{path}: labels must be 0 to {len(classes) - 1}, places in its list of "
            f"classes. Received: {label[where]} for {video_id[where]}"
        )
    shape = len(video_id), len(classes)
    streams = {n: v for n, v in others.items() if n.endswith("_logits")}
    found = {
        name: _finite(path, name, values, shape, video_id)
        for name, values in {"logits": logits, **streams}.items()
    }
    return Scores(video_id, label.astype(np.int64), found.pop("logits"), classes, found)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file; none that would need Python's pickle."""
    advice = "copy the file again, or write it anew with `evaluate.py`"
    try:
        with zipfile.ZipFile(path) as file:
            if sum(member.file_size for member in file.infolist()) > MAX_BYTES:
                raise UserError(
                    f"{path} must hold {MAX_BYTES >> 30} GiB of arrays at most. "
                    "Received: a zip that claims more"
                )
            if len(set(file.namelist())) < len(file.namelist()):
                raise UserError(f"{path} holds an array twice: {advice}")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError as error:
        raise UserError(
            f"expected a score file: {path} does not exist; `evaluate.py --run RUN` "
            "writes RUN/report/scores.npz"
        ) from error
    except ValueError as error:  # objects, or a cut array
        what = (
            "Python objects, which are never loaded"
            if "Object" in str(error)
            else error
        )
        raise UserError(f"{path} must hold plain arrays. Received: {what}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, MemoryError, KeyError,
            SyntaxError, NotImplementedError) as error:  # fmt: skip
        raise UserError(
            f"expected a score file (.npz): {path} is damaged or something else "
            f"({error}): {advice}"
        ) from error


def _text(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "S":
        values = shown_ids(values.ravel().tolist()).reshape(values.shape)
    if values.dtype.kind != "U" or values.ndim != 1 or not len(values):
        raise UserError(
            f"{path}: {name} must be a list of text, not empty. Received: "
            f"{values.dtype} of shape {values.shape}"
        )
    return values


def _check_distinct(path: Path, name: str, values: np.ndarray) -> None:
    if len(np.unique(values)) < len(values):
        ((twice, times),) = Counter(values.tolist()).most_common(1)
        raise UserError(
            f"{path}: {name} must name each only once. Received: {twice!r} "
            f"{times} times"
        )


def _finite(
    path: Path, name: str, values: np.ndarray, shape: tuple[int, int], ids: np.ndarray
) -> np.ndarray:
    """The scores as float32, if they are numbers of this shape."""
    if values.dtype.kind not in "fiu" or values.shape != shape:
        raise UserError(
            f"{path}: {name} must be numbers of shape {shape}, videos by classes. "
            f"Received: {values.dtype} of shape {values.shape}"
        )
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).any(axis=1).argmax())
        raise UserError(
            f"{path}: {name} must be finite float32 numbers. Received: NaN, infinity "
            f"or a number too large for {ids[row]}; whatever made them diverged"
        )
    return values


def shown_ids(keys: Iterable[bytes]) -> np.ndarray:
    r"""Videos' ids as text; bytes of a file name that are no text become \xNN."""
    return np.array([key.decode("utf-8", "backslashreplace") for key in keys])


def check_finite(logits: np.ndarray) -> None:
    """Refuse the logits of a network that diverged.

    Raises:
        UserError: One is NaN or infinite.
    """
    if not np.isfinite(logits).all():
        raise UserError(
            "the network's logits must be finite. Received: NaN or infinity; "
            "its training diverged: train again with a lower rate"
        )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64."""
    shifted = np.asarray(logits, np.float64)
    exponentials = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)
