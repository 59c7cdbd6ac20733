"""Export a run: `<name>/<version>/`, proven equal, published whole or not at all.

folder = export(Run.open("runs/x"), Path("models/stfn"))   # models/stfn/1
"""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

import stfn_keras
from stfn_keras.data.manifest import DEFAULT_VERIFY, VerifyConfig
from stfn_keras.data.source import Source, naming_damage, open_source
from stfn_keras.errors import UserError
from stfn_keras.evaluation.scoring import trained_network
from stfn_keras.exporting.made_up import made_up_source
from stfn_keras.exporting.parity import measure_parity
from stfn_keras.exporting.saved_model import ServingModule
from stfn_keras.files import sha256, write_json, write_text
from stfn_keras.serving.folder import CONFIG, EXTRA, MARK
from stfn_keras.training.run import Run
from stfn_keras.training.stages import input_sizes


def next_version(name: Path) -> int:
    """The version after the newest one in an export directory.

    Raises:
        UserError: The folder holds something else than our versions.
    """
    if not name.exists():
        return 1
    if not name.is_dir():
        raise UserError(f"--out must be a folder. Received a file: {name}")
    entries = [e for e in name.iterdir() if not e.name.startswith(".partial")]
    for entry in entries:
        if not (entry.name.isdigit() and (entry / EXTRA / CONFIG).is_file()):
            raise UserError(
                f"--out must be a new folder or one of exported versions: {name} holds "
                f"{entry.name}; nothing was changed"
            )
    return max((int(e.name) for e in entries), default=0) + 1


@contextlib.contextmanager
def published(folder: Path) -> Iterator[Path]:
    """Give a folder to write to; rename it on success, remove it otherwise."""
    aside = folder.with_name(f".partial-{os.getpid()}-{folder.name}")
    aside.mkdir(parents=True)
    try:
        yield aside
        os.rename(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def export(
    run: Run,
    name: Path,
    data: Path | None = None,
    videos: int = 64,
    verify: VerifyConfig = DEFAULT_VERIFY,
) -> Path:
    """Export a run's network as a SavedModel and prove its scores.

    Args:
        run: A finished run, or one that was read from an archive.
        name: The export directory; the version is the next free number.
        data: Where the run's data lie now, if moved. An archive's run does not know
            where they were: without `data` parity is measured on made-up videos, and
            `parity.json` says so and gives no accuracy.
        videos: Test videos on which parity is measured, at most.
        verify: How the test shards are checked first.

    Returns:
        The folder of the new version.

    Raises:
        UserError: The folder is not ours, the data are not the run's, or the
            exported scores differ from the evaluation's; nothing is published then.
    """
    version = next_version(name)
    network = trained_network(run)
    made_up = data is None and not run.data
    sizes = input_sizes(network)
    videos_of = (
        made_up_source(run, sizes)
        if made_up
        else (_test_source(run, data, verify, sizes))
    )
    with videos_of as source, published(name / str(version)) as aside:
        module = ServingModule(network, run.labels)
        module.save(aside)
        loaded = tf.saved_model.load(str(aside))
        parity = measure_parity(
            network, loaded.signatures["serve_jpeg"], source, videos
        )
        if made_up:
            parity.update(made_up=True, accuracy=None)
        size = sum(f.stat().st_size for f in aside.rglob("*") if f.is_file())
        parity["bytes"] = size
        if not parity["passed"]:
            raise UserError(
                f"the exported scores must be within {parity['tolerance']:g} of the "
                f"evaluation's. Received: {parity['max_abs_diff']:g}; nothing was "
                "published, please report this"
            )
        _write_extra(aside, run, module.inputs, {"saved_model": parity})
    return name / str(version)


@contextlib.contextmanager
def _test_source(
    run: Run, data: Path | None, verify: VerifyConfig, sizes: dict[str, int]
) -> Iterator[Source]:
    """Give the run's test videos, checked; an error while they are read names them."""
    folder, manifest = run.manifest(data)
    manifest.verify(folder, verify.full, run.training.split, "e")
    with naming_damage(folder, manifest):
        yield open_source(folder, manifest, run.training.split, "e", run.flow, sizes)


def _write_extra(folder: Path, run: Run, inputs: dict, parity: dict) -> None:
    extra = folder / EXTRA
    files = [f for f in sorted(folder.rglob("*")) if f.is_file()]
    digests = {str(f.relative_to(folder)): sha256(f) for f in files}
    flow = run.flow
    preprocessing = {
        **run.preprocessing,
        "flow": {flow: run.preprocessing["flow"][flow]},
    }
    write_text(extra / "labels.txt", "\n".join(run.labels) + "\n")
    write_json(extra / "parity.json", parity)
    write_json(
        extra / CONFIG,
        {
            "kind": MARK,
            "version": stfn_keras.__version__,
            "labels": list(run.labels),
            "model": dataclasses.asdict(run.model),
            "flow": flow,
            "preprocessing": preprocessing,
            "data_digest": run.data_digest,
            "inputs": inputs,
            "formats": list(parity),
            "sha256": digests,
        },
    )
