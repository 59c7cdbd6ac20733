"""The manifest: what a dataset directory holds and how it was made.

    manifest = Manifest.load(folder)
    files = manifest.shard_files(folder, split=1, role="r")
    check_match(model_block, manifest.preprocessing)

A dataset is finished once it has one: it is written last, aside, and renamed.
"""

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stfn_keras.config import PreparationConfig, check_choices, option
from stfn_keras.data.mirrors import REMOTE, digest_direct
from stfn_keras.errors import UserError
from stfn_keras.files import sha256, write_json

MANIFEST = "manifest.json"
SCHEMA = 1
MEND = "mend it by `python -m data_prep repair DATASET --videos VIDEOS`"
ROLES = {"r": "train", "e": "test", "v": "validation", "u": "unused"}


@dataclass(frozen=True)
class VerifyConfig:
    """How well a command checks the shards that it is about to read."""

    verify: str = option(
        "sizes",
        "check the shards to be read before the start: by size, or by full digest",
        ("sizes", "full"),
    )

    def __post_init__(self) -> None:
        check_choices(self)

    @property
    def full(self) -> bool:
        """Whether to read and digest the files; the argument of `Manifest.verify`."""
        return self.verify == "full"


DEFAULT_VERIFY = VerifyConfig()


@dataclass(frozen=True)
class Shard:
    """One TFRecord file.

    Attributes:
        file: Its name inside the dataset directory.
        roles: One letter of `ROLES` per split, the same for all of its videos.
        videos: Records in it.
        bytes: Its size.
        sha256: Its digest, in hex.
    """

    file: str
    roles: str
    videos: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A dataset: its labels, its shards, and the preprocessing of its videos.

    Attributes:
        schema: Version of the format.
        name: The dataset's name, which its shards' names start with.
        protocol: What the splits come from: folder, ucf101, hmdb51 or csv.
        labels: Names of the classes; a record's label is an index into them.
        videos: Videos in all shards.
        absent: Videos that the split lists name and that were not there.
        shards: The files.
        flow: By field: `preset`, `version`, `parameters`, `opencv`, `bound`
            (pixels per frame) and `pairs`.
        layout: `snippet` or `dense`.
        snippets: Snippets K per video.
        rgb_per_snippet: Frames R per snippet.
        size: Short side at most, in pixels, or WIDTHxHEIGHT.
        flip: Whether a mirror image keeps its class.
        inputs: Files or rows that were found: in shards or in the ledger. 0 if the
            dataset was not made from such a list.
    """

    schema: int
    name: str
    protocol: str
    labels: tuple[str, ...]
    videos: int
    absent: int
    shards: tuple[Shard, ...]
    flow: dict[str, dict[str, Any]]
    layout: str
    snippets: int
    rgb_per_snippet: int
    size: str
    flip: bool
    inputs: int = 0

    @classmethod
    def load(cls, folder: Path | str) -> "Manifest":
        """Read `manifest.json`.

        Raises:
            UserError: It is missing, damaged, or of another schema.
        """
        path = Path(folder) / MANIFEST
        try:
            block = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"{folder} must be a dataset made by `python -m data_prep`: "
                f"it has no {MANIFEST}"
            ) from None
        except ValueError as error:
            raise UserError(f"{path} is damaged: {error}") from error
        schema = block.get("schema") if isinstance(block, dict) else None
        if schema != SCHEMA:
            raise UserError(
                f"{path} must have schema {SCHEMA}. Received: {schema!r}; prepare the "
                "videos again, or install the version that made it"
            )
        try:
            block["labels"] = tuple(block["labels"])
            block["shards"] = tuple(Shard(**shard) for shard in block["shards"])
            for shard in block["shards"]:
                _check_name(shard.file)
            return cls(**block)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is damaged: {error}") from error

    def save(self, folder: Path | str) -> None:
        """Write `manifest.json`, whole or not at all."""
        write_json(Path(folder) / MANIFEST, dataclasses.asdict(self))

    @property
    def digest(self) -> str:
        """SHA-256, in hex, over everything here, hence over every shard's bytes."""
        canonical = json.dumps(
            dataclasses.asdict(self), sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def splits(self) -> int:
        """How many splits the dataset has."""
        return len(self.shards[0].roles) if self.shards else 0

    @property
    def pairs(self) -> int:
        """Flow pairs per snippet."""
        return int(next(iter(self.flow.values()))["pairs"])

    @property
    def preprocessing(self) -> dict[str, Any]:
        """The block that a model carries: how its videos became snippets."""
        block = dataclasses.asdict(self)
        names = ("flow", "layout", "snippets", "rgb_per_snippet", "size", "flip")
        return {name: block[name] for name in names}

    @property
    def preparation(self) -> PreparationConfig:
        """The settings that the videos were prepared with."""
        return preparation_config(self.preprocessing)

    def shard_files(self, folder: Path | str, split: int, role: str) -> list[Path]:
        """The files of one role of one split, sorted.

        Args:
            folder: The dataset directory.
            split: From 1.
            role: A letter of `ROLES`.

        Raises:
            UserError: There is no such split.
        """
        shards = self._selected(split, role)
        return sorted(Path(folder) / shard.file for shard in shards)

    def count(self, split: int, role: str) -> int:
        """Videos of one role (a letter of `ROLES`) in one split (from 1)."""
        return sum(shard.videos for shard in self._selected(split, role))

    def _selected(self, split: int, role: str) -> list[Shard]:
        if not 1 <= split <= self.splits:
            raise UserError(f"--split must be 1 to {self.splits}. Received: {split}")
        return [shard for shard in self.shards if shard.roles[split - 1] == role]

    def verify(
        self,
        folder: Path | str,
        full: bool = True,
        split: int | None = None,
        roles: str = "".join(ROLES),
    ) -> None:
        """Check that shards are what the manifest says.

        Args:
            folder: The dataset directory.
            full: Whether to read and digest the files too; sizes alone are quick.
            split: The split, from 1, whose shards are checked; None for all shards.
            roles: Letters of `ROLES`: which of the split's shards.

        Raises:
            UserError: A file is missing or altered; names the first. Or there is no
                such split.
        """
        shards = list(self.shards)
        if split is not None:
            shards = [s for role in roles for s in self._selected(split, role)]
        # On a terminal, for digests alone: they take as long as reading the files.
        total = sum(shard.bytes for shard in shards)
        with tqdm(
            desc="checking shards", total=total, unit="B", unit_scale=True,
            leave=False, disable=None if full else True,
        ) as bar:  # fmt: skip
            for shard in shards:
                if fault := shard_fault(shard, Path(folder), full):
                    raise UserError(f"{Path(folder) / shard.file}: {fault}")
                if full:
                    digest_direct(Path(folder), shard.file, shard.bytes, shard.sha256)
                bar.update(shard.bytes)


def _check_name(file: str) -> None:
    """Keep a manifest from elsewhere to files inside its folder."""
    if not re.fullmatch(r"[^/\\.][^/\\]*\.tfrecord", file):
        raise ValueError(f"a shard's name must be NAME.tfrecord, received {file!r}")


def shard_fault(shard: Shard, folder: Path, full: bool = True) -> str | None:
    """Say how a shard's file differs from its entry; None if it does not."""
    path, mend = folder / shard.file, MEND
    is_mirror = (folder / REMOTE).exists()
    if not path.is_file():
        # A fetched shard is compared with its digest before it is there.
        return None if is_mirror else f"missing; {mend}"
    if is_mirror:
        mend = "delete this file, a cached copy, and it is fetched again"
    size = path.stat().st_size
    if size != shard.bytes:
        return f"expected {shard.bytes} bytes. Received: {size}; {mend}"
    if full and sha256(path) != shard.sha256:
        return f"its bytes are not those that were written; {mend}"
    return None


def preparation_config(block: dict[str, Any]) -> PreparationConfig:
    """Make the settings that a `preprocessing` block stands for.

    Args:
        block: Of a manifest or a model; its flow fields are computed in order.
    """
    fields = list(block["flow"].values())
    return PreparationConfig(
        flow=tuple(field["preset"] for field in fields),
        layout=block["layout"],
        snippets=block["snippets"],
        pairs=fields[0]["pairs"],
        rgb_per_snippet=block["rgb_per_snippet"],
        size=block["size"],
        flip=block["flip"],
    )


def check_match(model_block: dict[str, Any], data_block: dict[str, Any]) -> None:
    """Refuse data that were prepared otherwise than a model's own.

    Args:
        model_block: The `preprocessing` of the data that a model was trained on,
            with the flow fields that it reads.
        data_block: That of the data at hand, which may have more flow fields.

    Raises:
        UserError: Sizes, frames per snippet, or a flow field that the model reads
            differ; names both sides.
    """
    for key in ("size", "rgb_per_snippet"):
        _check_equal(key, model_block[key], data_block[key])
    for name, expected in model_block["flow"].items():
        if name not in data_block["flow"]:
            raise UserError(
                f"the model was trained on flow {name!r}, and the data have "
                f"{', '.join(data_block['flow'])}: prepare them with --flow={name}"
            )
        for key in ("preset", "version", "parameters", "bound", "pairs"):
            received = data_block["flow"][name][key]
            _check_equal(f"flow {name!r}: {key}", expected[key], received)


def _check_equal(what: str, expected: Any, received: Any) -> None:
    if expected != received:
        raise UserError(
            f"the model was trained on data with {what} = {expected}, and these data "
            f"have {received}: prepare them as the model's were"
        )
