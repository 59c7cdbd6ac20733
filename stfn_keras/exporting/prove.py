"""Convert to each format, compare its scores with the evaluation's, keep what passes.

prover = Prover(folder, videos, reference, max_drop=0.01)
prover.saved_model()       # the folder holds one; raises where it differs
prover.convert("onnx")     # leaves no file where it is refused
prover.parity["onnx"]      # its row of `parity.json`
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from stfn_keras.errors import UserError
from stfn_keras.exporting import formats
from stfn_keras.exporting.latency import latencies
from stfn_keras.exporting.parity import (
    Reference,
    compared,
    score_jpegs,
    score_views,
    signatures_apart,
    unmeasured,
)
from stfn_keras.exporting.version import size
from stfn_keras.exporting.videos import Videos
from stfn_keras.serving.formats import FORMATS
from stfn_keras.serving.runtimes.base import Runtime
from stfn_keras.serving.runtimes.open import load_runtime
from stfn_keras.serving.runtimes.saved_model import SavedModelRuntime

_UNCALIBRATED = (
    "it is calibrated on training videos, and an archive does not say where they lie: "
    "give --data"
)


class Prover:
    """What an unpublished version holds so far, and how it compares.

    Args:
        folder: The version's, with a SavedModel in it.
        videos: What formats are compared on.
        reference: The evaluation's scores of them.
        max_drop: Accuracy that a format of reduced precision may lose.

    Attributes:
        parity: By format, its row of `parity.json`; refused ones, too.
        runtimes: The formats that passed, open.
    """

    def __init__(
        self, folder: Path, videos: Videos, reference: Reference, max_drop: float
    ) -> None:
        self.folder = folder
        self.parity: dict[str, dict[str, Any]] = {}
        self.runtimes: dict[str, Runtime] = {}
        self._videos = videos
        self._reference = reference
        self._max_drop = max_drop
        self._damage: Exception | None = None  # why videos cannot be read

    def saved_model(self) -> SavedModelRuntime:
        """Compare the SavedModel, all four signatures.

        Raises:
            UserError: It is not the trained network.
        """
        name, source = "saved_model", self._videos.source
        runtime = SavedModelRuntime(FORMATS[name].path(self.folder))
        row = self._compared(name, score_jpegs(runtime, source, self._reference))
        apart = signatures_apart(runtime, source)
        row["signatures_apart"] = apart if np.isfinite(apart) else None
        if not row["passed"] or not apart <= row["tolerance"]:
            reason = row.get("reason") or (
                f"its signatures' scores must be within {row['tolerance']:g} of each "
                f"other. Received: {apart:.2g}"
            )
            raise UserError(
                f"the exported model is not the trained one: {reason}; nothing was "
                "published, please report this"
            )
        self.parity[name] = {**row, "bytes": size(self.folder)}
        self.runtimes[name] = runtime
        return runtime

    def convert(self, name: str) -> None:
        """Convert the SavedModel to a format; where it is refused, note the reason.

        Raises:
            UserError: Videos could not be read, or the memory was too small: that is no
                fault of the format's, and the export ends.
        """
        known = FORMATS[name]
        if known.calibrated and self._videos.calibration is None:
            self.parity[name] = self._unmeasured(name, _UNCALIBRATED)
            return
        samples = self._samples() if known.calibrated else None
        try:
            formats.convert(name, self.folder, self.folder, samples)
            runtime = load_runtime(self.folder, name)
            row = self._compared(name, self._scores(runtime))
            row["bytes"] = known.size(self.folder)
        except Exception as error:  # converters raise what they like
            row = self._unmeasured(name, self._reason(name, self._damage or error))
        self.parity[name] = row
        if row["passed"]:
            self.runtimes[name] = runtime
        else:
            _remove(self.folder, known.files)

    def measure_latency(self, batches: Sequence[int]) -> None:
        """Note the milliseconds of a call, of each format that passed."""
        taken = latencies(self.runtimes, batches)
        for name, row in self.parity.items():
            for batch in batches:
                key = "latency_ms" if batch == 1 else f"latency_ms_batch_{batch}"
                row[key] = taken[name][batch] if name in taken else None

    def _samples(self) -> Iterator[Mapping[str, np.ndarray]]:
        """Training snippets; notes why they cannot be read, which converters wrap."""
        try:
            yield from self._videos.calibration()  # type: ignore[misc]
        except Exception as error:
            self._damage = error
            raise

    def _scores(self, runtime: Runtime) -> np.ndarray:
        try:
            return score_views(runtime, self._videos.source, self._reference)
        except (
            tf.errors.OpError
        ) as error:  # of reading: no converted format runs in TensorFlow
            self._damage = error
            raise

    def _reason(self, name: str, error: Exception) -> str:
        """Why a format is refused; raises what is no fault of the format's."""
        if isinstance(error, MemoryError):
            raise UserError(
                f"converting to {name} and comparing it must fit into memory. "
                "Received: out of memory; nothing was published: name --formats "
                "without it, or export on a larger machine"
            ) from error
        if error is self._damage:
            raise error
        if isinstance(error, UserError):
            return str(error)
        logging.info("the format %s", name, exc_info=error)
        first = (str(error).strip().splitlines() or [""])[0]
        return f"{type(error).__name__}: {first}"

    def _unmeasured(self, name: str, reason: str) -> dict[str, Any]:
        return unmeasured(reason, self._reference, FORMATS[name], self._max_drop)

    def _compared(self, name: str, scores: np.ndarray) -> dict[str, Any]:
        return compared(scores, self._reference, FORMATS[name], self._max_drop)


def _remove(folder: Path, files: Sequence[str]) -> None:
    """Remove a refused format's files, and folders that are empty then."""
    for file in files:
        path = folder / file
        path.unlink(missing_ok=True)
        for parent in path.relative_to(folder).parents:
            if parent.name and not any((folder / parent).iterdir()):
                (folder / parent).rmdir()
