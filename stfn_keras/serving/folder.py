"""The export directory as exporting writes it and prediction reads it.

models/NAME/VERSION/saved_model.pb, variables/, assets.extra/config.json, ...
"""

from pathlib import Path

from stfn_keras.errors import UserError
from stfn_keras.files import read_json, sha256
from stfn_keras.serving.formats import FOLDER, FORMATS

MARK = "stfn_keras model"  # what a model's config.json is, under `kind`
EXTRA = "assets.extra"
CONFIG = "config.json"


def read_config(folder: Path) -> dict:
    """Read the configuration that a version of a model carries.

    Raises:
        UserError: The folder is no model of ours.
    """
    config = read_json(folder / EXTRA / CONFIG, "a model made by export.py")
    if config.get("kind") != MARK:
        raise UserError(
            f"expected a model made by export.py. {folder} says: {config.get('kind')!r}"
        )
    return config


def check_digests(folder: Path, config: dict, name: str) -> None:
    """Refuse a version of which a file that a format needs is not as it was written.

    Args:
        folder: Of the version.
        config: As `read_config` gives it.
        name: Of the format.

    Raises:
        UserError: Names the file.
    """
    for file, digest in config["sha256"].items():
        if name == "saved_model":
            needed = not file.startswith(f"{FOLDER}/")
        else:
            needed = file in FORMATS[name].files
        path = folder / file
        if needed and not (path.is_file() and sha256(path) == digest):
            raise UserError(
                f"the model file {path} is missing or damaged: export it again"
            )


def is_version(name: str) -> bool:
    """Whether a folder's name is a version's number; other digits than 0-9 are none."""
    return name.isascii() and name.isdigit()


def newest_version(model: Path, flag: str = "--model") -> Path:
    """The folder of a model's newest version; a version itself is its own.

    Args:
        model: The folder of a model, or of one version.
        flag: Which named it.

    Raises:
        UserError: There is none.
    """
    # The configuration alone is enough of a copy to ask a server by.
    marks = ("saved_model.pb", f"{EXTRA}/{CONFIG}")
    if any((model / mark).is_file() for mark in marks):
        return model
    if versions := _versions(model):
        return versions[-1]
    told = f"{model}, which holds no version"
    if not model.exists():
        told = f"{model}, which does not exist"
        if is_version(model.name) and (others := _versions(model.parent)):
            held = ", ".join(version.name for version in others)
            told += f"; {model.parent} holds {held}"
    raise UserError(
        f"{flag} must be a folder made by export.py, such as models/stfn. "
        f"Received: {told}"
    )


def _versions(model: Path) -> list[Path]:
    """The folders of a model's versions, the newest last."""
    found = model.iterdir() if model.is_dir() else ()
    return sorted(
        (version for version in found if is_version(version.name)),
        key=lambda version: int(version.name),
    )
