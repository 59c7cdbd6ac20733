"""Publish a run as one file.

    found = publish(Path("runs/x"), Path("x.zip"), license="CC BY 4.0")
    found.sha256

The archive holds the network's weights, once and without optimiser, the configuration
without paths of this machine, a digest of every member, and a model card. The same run
gives the same bytes. `evaluate.py`, `export.py` and `train.py --init_from` read it.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stfn_keras.config.stored import from_dict
from stfn_keras.errors import UserError
from stfn_keras.files import read_json, sha256
from stfn_keras.training import archive
from stfn_keras.training.card import model_card
from stfn_keras.training.finished import WEIGHTS, network_digest, weights_digest
from stfn_keras.training.run import Run


@dataclass(frozen=True)
class Published:
    """A published archive: its path and SHA-256, and whether it has results."""

    path: Path
    sha256: str
    evaluated: bool


def publish(folder: Path, out: Path | None = None, license: str = "") -> Published:
    """Write a finished run's archive, whole or not at all.

    Args:
        folder: The run directory.
        out: The archive; by default `published/NAME.zip` in the run directory.
        license: Terms of the weights, for the card.

    Returns:
        Where it is, and its digest.

    Raises:
        UserError: The run is not finished or its network damaged, or there is another
            file at `out`.
    """
    run = _with_its_towers(Run.open(folder))
    _check_network(run)
    metrics = _metrics(run)
    settings = portable_settings(run)
    shown = dataclasses.replace(
        run, training=from_dict(type(run.training), settings["training"])
    )
    card = model_card(shown, settings["data"]["name"], metrics, license)
    members = {
        archive.CARD: archive.text_member(card),
        archive.CONFIG: archive.text_member(json.dumps(settings, indent=2) + "\n"),
        WEIGHTS: archive.weights_member(run.network_file),
    }
    if metrics:
        text = json.dumps(metrics, indent=2) + "\n"
        members[archive.METRICS] = archive.text_member(text)
    path = out or folder / "published" / f"{folder.resolve().name}.zip"
    return Published(path, archive.write(path, members), bool(metrics))


def _with_its_towers(run: Run) -> Run:
    """A run with the tower settings of the run whose towers it took.

    Raises:
        UserError: That run is not there any more, so nobody could say how the towers
            were trained.
    """
    if run.towers_from is None:
        return run
    try:
        source = _with_its_towers(Run.open(run.towers_from))
    except UserError as error:
        raise UserError(
            f"the towers of {run.folder} are those of {run.towers_from}, whose "
            f"settings belong into the archive: put that run back. ({error})"
        ) from error
    names = (
        "rgb", "flow_stage", "rgb_weights", "flow_weights", "flow_init",
        "class_weights",
    )  # fmt: skip
    towers = {name: getattr(source.training, name) for name in names}
    training = dataclasses.replace(run.training, **towers)
    return dataclasses.replace(
        run, training=training, init_digest=run.init_digest or source.init_digest
    )


def portable_settings(run: Run) -> dict[str, Any]:
    """A run's settings without paths: of each its last part is kept, of data a name."""
    kept = ("labels", "preprocessing", "kind", "version")
    settings = {
        key: value if key in kept else _without_paths(value)
        for key, value in run.settings().items()
    }
    name = settings["data"]["path"]
    settings["data"] = {"path": "", "name": name, "digest": run.data_digest}
    settings["towers_from"] = None
    return settings


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_paths(inner) for key, inner in value.items()}
    if isinstance(value, str):
        parts = value.replace("\\", "/").rstrip("/").split("/")
        return parts[-1] if len(parts) > 1 else value
    return value


def _check_network(run: Run) -> None:
    """Compare the run's network file with the digest that training gave it."""
    digest = network_digest(run)
    if not run.network_file.is_file() or sha256(run.network_file) != digest:
        raise UserError(
            f"{run.network_file} is missing or damaged: delete it and run the same "
            "train.py command, which writes it anew from the stages"
        )


def _metrics(run: Run) -> dict | None:
    """What evaluation found of these weights, or None."""
    path = run.folder / "report" / "metrics.json"
    if not path.exists():
        return None
    found = read_json(path, "the metrics of an evaluation")
    of = {"data_digest": run.data_digest, "weights_digest": weights_digest(run)}
    if any(found.get(key) != value for key, value in of.items()):
        raise UserError(
            f"{path.parent} is a report of other weights or data, or one of an older "
            f"version: run `python evaluate.py --run {run.folder}` again, or delete it"
        )
    return found
