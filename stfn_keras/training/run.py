"""The run directory: what a run is, kept beside its results.

run = Run.start(out, data, manifest, model, training)   # or continues it
run = Run.open(out)                                     # a finished one
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import stfn_keras
from stfn_keras.config import ModelConfig, TrainingConfig
from stfn_keras.config.stored import from_dict
from stfn_keras.data.manifest import Manifest, check_match
from stfn_keras.data.remote import location_of
from stfn_keras.data.source import open_data
from stfn_keras.errors import UserError
from stfn_keras.files import read_json, write_json

MARK = "stfn_keras run"


@dataclass(frozen=True)
class Run:
    """A run directory and the settings it was made with."""

    folder: Path
    data: str  # a folder, or an address such as s3://bucket/ucf101
    data_digest: str
    labels: tuple[str, ...]
    preprocessing: dict
    model: ModelConfig
    training: TrainingConfig
    towers_from: Path | None = None  # the run whose towers this one takes
    init_digest: str = ""  # of the weights that its stages start from; SHA-256

    @property
    def checkpoints(self) -> Path:
        """Where stages and the assembled network are kept."""
        return self.folder / "checkpoints"

    @property
    def network_file(self) -> Path:
        """The assembled network's weights."""
        return self.checkpoints / "model.keras"

    def settings(self) -> dict[str, Any]:
        """What `config.json` holds."""
        return {
            "kind": MARK,
            "version": stfn_keras.__version__,
            "data": {"path": self.data, "digest": self.data_digest},
            "labels": list(self.labels),
            "preprocessing": self.preprocessing,
            "model": dataclasses.asdict(self.model),
            "training": dataclasses.asdict(self.training),
            "towers_from": str(self.towers_from) if self.towers_from else None,
            "init_from": self.init_digest,
        }

    @classmethod
    def start(
        cls,
        folder: Path,
        data: Path,
        manifest: Manifest,
        model: ModelConfig,
        training: TrainingConfig,
        towers_from: Path | None = None,
        init_digest: str = "",
    ) -> "Run":
        """Make the run directory, or continue the one with the same settings.

        Which stages run, and where data and other runs lie, may differ from the last
        call; before anything is trained, everything may.

        Raises:
            UserError: The folder is not a run, or one with other settings.
        """
        run = cls(
            folder, location_of(data.resolve()), manifest.digest, manifest.labels,
            manifest.preprocessing, model, training,
            towers_from and towers_from.resolve(), init_digest,
        )  # fmt: skip
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--out must be a folder. Received a file: {folder}")
        if (folder / "config.json").exists():
            stored = cls.open(folder)
            if stored.checkpoints.exists():
                _require_same(stored, run)
        elif folder.exists() and any(folder.iterdir()):
            raise UserError(
                f"--out must be a new folder or a run of these settings: {folder} "
                "holds something else; nothing was changed"
            )
        write_json(folder / "config.json", run.settings())
        return run

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Read a run's settings.

        Raises:
            UserError: The folder is no run directory.
        """
        stored = read_json(folder / "config.json", "a run directory made by train.py")
        if stored.get("kind") != MARK:
            raise UserError(
                f"expected a run directory made by train.py. {folder}/config.json "
                f"says: {stored.get('kind')!r}"
            )
        try:
            return cls(
                folder=folder,
                data=str(stored["data"]["path"]),
                data_digest=stored["data"]["digest"],
                labels=tuple(stored["labels"]),
                preprocessing=stored["preprocessing"],
                model=from_dict(ModelConfig, stored["model"]),
                training=from_dict(TrainingConfig, stored["training"]),
                towers_from=stored["towers_from"] and Path(stored["towers_from"]),
                init_digest=stored.get("init_from", ""),
            )
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{folder}/config.json is damaged: {error!r} is missing or wrong; "
                "choose another --out"
            ) from error

    def manifest(self, data: Path | None = None) -> tuple[Path, Manifest]:
        """The data the run was made of, where they were or in another folder.

        Raises:
            UserError: The folder holds other data, or they were prepared otherwise.
        """
        folder = data or open_data(self.data)
        manifest = Manifest.load(folder)
        fields = self.preprocessing["flow"]
        read = {**self.preprocessing, "flow": {self.flow: fields[self.flow]}}
        check_match(read, manifest.preprocessing)
        if manifest.digest != self.data_digest:
            raise UserError(
                f"the run {self.folder} was made of other data (digest "
                f"{self.data_digest[:12]}) than {folder} holds "
                f"({manifest.digest[:12]}): point --data to the former"
            )
        return folder, manifest

    @property
    def flow(self) -> str:
        """The flow field that the run reads."""
        return self.training.flow or next(iter(self.preprocessing["flow"]))


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat.update(_flat(inner, f"{prefix}.{key}" if prefix else key))
    return flat


def _require_same(stored: Run, wanted: Run) -> None:
    old, new = _flat(stored.settings()), _flat(wanted.settings())
    old["towers_from"], new["towers_from"] = (
        "given" if run.towers_from else "not given" for run in (stored, wanted)
    )
    free = {"data.path", "training.stages", "version"}
    for key in sorted((set(old) | set(new)) - free):
        if old.get(key) != new.get(key):
            raise UserError(
                f"{stored.folder} is a run with other settings: {key} is "
                f"{old.get(key)!r} there and {new.get(key)!r} here: choose another "
                "--out, or repeat its settings to continue it; nothing was changed"
            )
