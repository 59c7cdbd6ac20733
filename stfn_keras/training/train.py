"""Train a network in stages, skip what is finished, go on with what is not.

train(data, out, ModelConfig(tower="tiny"), TrainingConfig())
"""

from pathlib import Path

import keras
from absl import logging

from stfn_keras.config import STAGES, ModelConfig, TrainingConfig
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.sampling import segment_bounds
from stfn_keras.data.source import naming_damage
from stfn_keras.errors import UserError
from stfn_keras.files import write_json
from stfn_keras.training import stages
from stfn_keras.training.checkpoint import save_model
from stfn_keras.training.run import Run
from stfn_keras.training.stages import Work

# What a run must share with the run whose towers it takes.
SHARED_MODEL = ("tower", "rgb_size", "flow_size", "pairs")


def train(
    data: Path,
    out: Path,
    model: ModelConfig,
    training: TrainingConfig,
    towers_from: Path | None = None,
) -> Run:
    """Run the stages asked for and assemble the network once all are there.

    Args:
        data: A dataset directory.
        out: The run directory, new or to be continued.
        model: The network.
        training: Stages and their settings.
        towers_from: A run whose finished towers (and feature cache) are taken.

    Returns:
        The run.

    Raises:
        UserError: Settings, data and folders do not go together.
    """
    manifest = Manifest.load(data)
    manifest.verify(data, full=False)
    _check_fits(model, training, manifest)
    run = Run.start(out, data, manifest, model, training, towers_from)
    work = Work(run, data, manifest, _towers_run(run))
    with naming_damage(data, manifest):
        for name in training.stages:
            run_stage(work, name)
    finish(work)
    return run


def run_stage(work: Work, name: str) -> None:
    """Run one stage from where it stands; a stage the network lacks is passed over."""
    model = work.run.model
    if name in ("rgb", "flow"):
        wanted = name in model.streams and work.towers_run is work.run
    else:
        wanted = name == "end_to_end" or not model.is_consensus
    if not wanted or work.checkpoints(name).finished:
        return
    # Weights and dropout of a stage depend on the seed alone, not on stages before.
    keras.utils.set_random_seed(work.run.training.seed)
    if name in ("rgb", "flow"):
        stages.train_tower(work, name)
    elif name == "fusion":
        stages.train_fusion(work)
    else:
        stages.train_end_to_end(work)


def finish(work: Work) -> None:
    """Write the assembled network if every stage that it needs is finished."""
    run = work.run
    finished = [name for name in STAGES if work.checkpoints(name).finished]
    left = [name for name in stages.needed_stages(run.model) if name not in finished]
    if left:
        logging.info("stages left before the network is whole: %s", ", ".join(left))
        return
    if "end_to_end" in finished:
        network = stages.end_to_end_network(work)
        stages.load_result(work, "end_to_end", network)
    else:
        network = stages.assemble(work)
    digest = save_model(network, run.network_file)
    write_json(
        run.checkpoints / "model.json",
        {"sha256": digest, "stages": finished},
    )


def _towers_run(run: Run) -> Run:
    if run.towers_from is None:
        return run
    other = Run.open(run.towers_from)
    pairs = {f"--{name}": (getattr(run.model, name), getattr(other.model, name))
             for name in SHARED_MODEL}  # fmt: skip
    pairs["--split"] = (run.training.split, other.training.split)
    pairs["--flow"] = (run.flow, other.flow)
    pairs["--data (digest)"] = (run.data_digest[:12], other.data_digest[:12])
    for name, (here, there) in pairs.items():
        if here != there:
            raise UserError(
                f"the towers of {other.folder} were trained with {name} {there}, "
                f"this run has {here}: give the same"
            )
    return other


def _check_fits(
    model: ModelConfig, training: TrainingConfig, manifest: Manifest
) -> None:
    if "flow" in model.streams and model.pairs != manifest.pairs:
        raise UserError(
            f"--pairs={model.pairs}, but the data hold {manifest.pairs} flow pairs "
            f"per snippet: give --pairs={manifest.pairs}, or prepare the data anew"
        )
    segment_bounds(manifest.snippets, model.segments)  # raises if there are too few
    if model.is_consensus and training.stages == ("fusion",):
        raise UserError(f"--network={model.network} has no fusion stage to train")
