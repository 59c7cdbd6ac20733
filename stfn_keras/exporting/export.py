"""Export a run: `<name>/<version>/`, proven equal, published whole or not at all.

folder = export(Run.open("runs/x"), Path("models/stfn"))   # models/stfn/1
"""

import dataclasses
from pathlib import Path

import stfn_keras
from stfn_keras.data.manifest import DEFAULT_VERIFY, VerifyConfig
from stfn_keras.evaluation.scoring import trained_network
from stfn_keras.exporting.guards import check_servable
from stfn_keras.exporting.made_up import frame_size
from stfn_keras.exporting.options import DEFAULT_EXPORT, ExportConfig
from stfn_keras.exporting.parity import read_reference
from stfn_keras.exporting.prove import Prover
from stfn_keras.exporting.saved_model import ServingModule
from stfn_keras.exporting.version import digests, next_version, published
from stfn_keras.exporting.videos import open_videos
from stfn_keras.exporting.warmup import WARMUP, write_warmup
from stfn_keras.files import write_json, write_text
from stfn_keras.serving.folder import CONFIG, EXTRA, MARK
from stfn_keras.serving.formats import require_all
from stfn_keras.training.run import Run
from stfn_keras.training.stages import input_sizes


def export(
    run: Run,
    name: Path,
    data: Path | None = None,
    config: ExportConfig = DEFAULT_EXPORT,
    verify: VerifyConfig = DEFAULT_VERIFY,
) -> Path:
    """Export a run's network as a SavedModel and other formats, and prove their scores.

    Args:
        run: A finished run, or one that was read from an archive.
        name: The export directory; the version is the next free number.
        data: Where the run's data lie now, if moved. An archive's run does not know
            where they were: without `data` parity is measured on made-up videos, and
            `parity.json` says so and gives no accuracy.
        config: Formats, and what they must pass. One that does not is left out, and
            `parity.json` says why.
        verify: How shards are checked first.

    Returns:
        The folder of the new version.

    Raises:
        UserError: The folder is not ours, the run's own videos are larger than a server
            decodes, the data are not the run's, a format's
            packages are missing, or the SavedModel's scores differ from the
            evaluation's; nothing is published then.
    """
    folder = name / str(next_version(name))
    require_all(config.formats)
    size = frame_size(run.preprocessing["size"], wide=True)
    check_servable(run.model, *size)
    network = trained_network(run)
    sizes = input_sizes(network)
    with (
        open_videos(run, data, config, verify, sizes) as videos,
        published(folder) as aside,
    ):
        module = ServingModule(network, run.labels)
        module.save(aside)
        reference = read_reference(
            network, videos.source, config.parity_videos, videos.made_up
        )
        prover = Prover(aside, videos, reference, config.max_drop)
        loaded = prover.saved_model()
        for wanted in config.formats:
            if wanted != "saved_model":
                prover.convert(wanted)
        prover.measure_latency((1, 8) if config.bench else (1,))

        extra = aside / EXTRA
        write_text(extra / "labels.txt", "\n".join(run.labels) + "\n")
        write_json(extra / "parity.json", prover.parity)
        write_warmup(extra / WARMUP, loaded.signatures, name.name, *size)
        described = _described(run, module.inputs, list(prover.runtimes))
        write_json(extra / CONFIG, {**described, "sha256": digests(aside)})
    return folder


def _described(run: Run, inputs: dict, formats: list[str]) -> dict:
    """The configuration that a version carries, but for the digests."""
    field = {run.flow: run.preprocessing["flow"][run.flow]}
    return {
        "kind": MARK,
        "version": stfn_keras.__version__,
        "labels": list(run.labels),
        "model": dataclasses.asdict(run.model),
        "flow": run.flow,
        "preprocessing": {**run.preprocessing, "flow": field},
        "data_digest": run.data_digest,
        "inputs": inputs,
        "formats": formats,
    }
