"""Train a network in stages, skip what is finished, go on with what is not.

train(data, out, ModelConfig(tower="tiny"), TrainingConfig())
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import keras
from absl import logging
from filelock import FileLock, Timeout

from stfn_keras.config import (
    DEFAULT_MACHINE,
    STAGES,
    STREAMS,
    MachineConfig,
    ModelConfig,
    TrainingConfig,
)
from stfn_keras.data.manifest import DEFAULT_VERIFY, Manifest, VerifyConfig
from stfn_keras.data.source import naming_damage
from stfn_keras.errors import UserError
from stfn_keras.files import read_json, sha256, write_json
from stfn_keras.training import stages, whole
from stfn_keras.training.checkpoint import save_model
from stfn_keras.training.checks import (
    check_machine,
    check_settings,
    check_stages,
    needed_stages,
    towers_run,
)
from stfn_keras.training.engines.engine import chief_first
from stfn_keras.training.engines.make import make_engine
from stfn_keras.training.initial import Initial
from stfn_keras.training.run import Run
from stfn_keras.training.work import Work


def train(
    data: Path,
    out: Path,
    model: ModelConfig,
    training: TrainingConfig,
    towers_from: Path | None = None,
    verify: VerifyConfig = DEFAULT_VERIFY,
    init_from: Path | None = None,
    machine: MachineConfig = DEFAULT_MACHINE,
) -> Run:
    """Run the stages asked for and assemble the network once all are there.

    Args:
        data: A dataset directory.
        out: The run directory, new or to be continued.
        model: The network.
        training: Stages and their settings.
        towers_from: A run whose finished towers (and feature cache) are taken.
        verify: How the training and validation shards are checked first.
        init_from: A finished run, or an archive of one, whose weights the stages
            start from.
        machine: How the stages are computed, on which devices.

    Returns:
        The run.

    Raises:
        UserError: Settings, data and folders do not go together, or a shard is
            damaged.
    """
    engine = make_engine(machine)  # first: it may decide how the backend computes
    manifest = Manifest.load(data)
    check_settings(model, training, manifest)
    check_machine(model, training, machine)
    manifest.verify(data, verify.full, training.split, "rv")
    check_stages(model, training.stages, out, towers_from)
    initial = None
    if init_from:
        initial = Initial.open(init_from, model, training, manifest)
    elif training.reset_head:
        raise UserError(
            "--reset_head replaces the classifiers of --init_from, which is not given"
        )
    digest = initial.digest if initial else ""
    with engine.together():
        if engine.is_chief:
            run = Run.start(out, data, manifest, model, training, towers_from, digest)
    if not engine.is_chief:
        run = Run.open(out)
    known = (run.model, run.training, run.data_digest, run.init_digest)
    if known != (model, training, manifest.digest, digest):
        raise UserError(
            "all workers must be given the same flags, data and weights: "
            f"{out}/config.json, which the first one wrote, has others than this one's"
        )
    work = Work(run, data, manifest, towers_run(run), initial, machine)
    alone = _alone(out) if engine.is_chief else contextlib.nullcontext()
    with alone, naming_damage(data, manifest):
        for name in training.stages:
            with engine.together():
                run_stage(work, name)
        chief_first(engine, lambda: finish(work))
    return run


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep a second training away from a run; the system forgets a killed one.

    Raises:
        UserError: Another process trains there.
    """
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"another process trains in {out}: wait for it or end it, or choose "
            "another --out. Several machines train together with "
            "--strategy=multi_worker"
        ) from error
    with lock:
        yield


def run_stage(work: Work, name: str) -> None:
    """Run one stage from where it stands; a stage the network lacks is passed over."""
    model = work.run.model
    if name in STREAMS:
        wanted = name in model.streams and work.towers_run is work.run
    else:
        wanted = name == "end_to_end" or name in model.stages
    if not wanted or work.checkpoints(name).finished:
        return
    # Weights and dropout of a stage depend on the seed alone, not on stages before.
    keras.utils.set_random_seed(work.run.training.seed)
    if name in STREAMS:
        stages.train_tower(work, name)
    elif name == "end_to_end":
        whole.train_end_to_end(work)
    elif model.is_pooled:
        stages.train_fusion(work)
    else:
        whole.train_upper(work)


def finish(work: Work) -> None:
    """Write the assembled network if every stage that it needs is finished."""
    run = work.run
    needed = needed_stages(run.model)
    own = [name for name in STAGES if name in (*needed, "end_to_end")]
    finished = [name for name in own if work.checkpoints(name).finished]
    left = [name for name in needed if name not in finished]
    if left:
        logging.info("stages left before the network is whole: %s", ", ".join(left))
        return
    made_of = {name: work.checkpoints(name).result()[1] for name in finished}
    state = run.checkpoints / "model.json"
    if state.exists() and run.network_file.exists():
        stored = read_json(state, "the state of a network")
        same = (stored.get("stages"), stored.get("sha256"))
        if same == (made_of, sha256(run.network_file)):
            return
    if "end_to_end" in finished:
        network = whole.pixel_network(work, "end_to_end")
        stages.load_result(work, "end_to_end", network)
    else:
        network = whole.assemble(work)
    digest = save_model(network, run.network_file)
    write_json(state, {"sha256": digest, "stages": made_of})
