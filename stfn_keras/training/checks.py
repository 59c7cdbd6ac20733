"""What can be refused before anything is trained is refused then."""

from pathlib import Path

from stfn_keras import models
from stfn_keras.config import (
    NETWORKS,
    STREAMS,
    MachineConfig,
    ModelConfig,
    TrainingConfig,
)
from stfn_keras.data.manifest import Manifest
from stfn_keras.data.sampling import segment_bounds
from stfn_keras.data.source import check_extent
from stfn_keras.errors import UserError
from stfn_keras.training.checkpoint import StageCheckpoints
from stfn_keras.training.run import Run
from stfn_keras.video.extent import Extent

# What a run must share with the run whose towers it takes.
SHARED_MODEL = ("tower", "rgb_size", "flow_size", "pairs", "rgb_motion", "consensus")
# What needs cached features, and what networks alone that could be given some.
OF_FEATURES = ("fusion_videos", "feature_views")
OF_HEADS = ("fusion_init", "modality_dropout")


def needed_stages(model: ModelConfig) -> tuple[str, ...]:
    """The stages without which the network is not whole."""
    return (*model.streams, *model.stages)


def check_settings(
    model: ModelConfig, training: TrainingConfig, manifest: Manifest
) -> None:
    """Refuse settings that do not go with the data or with each other.

    Raises:
        UserError: Frames, pairs, flow field, segments, input sizes or mirrored views
            do not fit; says which.
    """
    if training.flow and training.flow not in manifest.flow:
        raise UserError(
            f"the data hold the flow {', '.join(manifest.flow)}. Received "
            f"--flow={training.flow}: prepare the data with it, or name another"
        )
    flow = training.flow or next(iter(manifest.flow))
    check_extent(Extent.of(model), manifest, flow)
    models.check(model)
    if model.stages and not model.is_pooled:
        _check_pixels(model, training)
    _check_auxiliary(model, training)
    segment_bounds(manifest.snippets, model.segments)  # raises if there are too few
    for stream in model.streams:
        models.input_size(model, stream)  # raises if the tower needs a larger one
        if stream in training.stages:
            segment_bounds(manifest.snippets, training.tower_stage(stream).segments)
    validated = training.folds or manifest.count(training.split, "v")
    waiting = [s for s in training.stages if training.stage(s).patience]
    for name in ("fusion", "end_to_end"):
        if training.fusion_videos != "train" and name in waiting:
            raise UserError(
                f"--{name}_patience needs videos to validate on, and --fusion_videos="
                f"{training.fusion_videos} trains on the held-out ones: give one of "
                "them"
            )
    if waiting and not validated:
        raise UserError(
            f"--{_flags_of(waiting[0])}_patience needs validation videos, and the data "
            f"have none in split {training.split}: hold out a part of the training "
            "groups, for instance --folds=5 (never the test videos)"
        )
    if "fusion" in training.stages and training.feature_views > 1 and not manifest.flip:
        raise UserError(
            "the data were prepared with --noflip, so their mirror images are refused: "
            f"give --feature_views=1. Received: {training.feature_views}"
        )


def _check_pixels(model: ModelConfig, training: TrainingConfig) -> None:
    """Refuse settings of cached features where a network trains on none.

    Raises:
        UserError: Says which.
    """
    plain = TrainingConfig()
    for name in OF_FEATURES if model.has_head else (*OF_FEATURES, *OF_HEADS):
        if getattr(training, name) != getattr(plain, name):
            raise UserError(
                f"with {model.read_whole_for} the network trains on pixels, and "
                f"--{name} is of networks above cached features: leave it at "
                f"{getattr(plain, name)}. Received: {getattr(training, name)}"
            )


def _check_auxiliary(model: ModelConfig, training: TrainingConfig) -> None:
    """Refuse classifiers that would be reported and were never trained.

    Raises:
        UserError: Names the flag that trains them.
    """
    above = {"fusion", "end_to_end"} & set(training.stages)
    if NETWORKS[model.network].auxiliary and above and not training.stream_loss:
        raise UserError(
            f"--network={model.network} has classifiers that losses of their own alone "
            "train: give --stream_loss=1, say. Received: --stream_loss=0"
        )


def check_machine(
    model: ModelConfig, training: TrainingConfig, machine: MachineConfig
) -> None:
    """Refuse a way to compute that a later stage would refuse.

    Raises:
        UserError: Towers within the network cannot be computed again.
    """
    wanted = [s for s in training.stages if s in (*model.stages, "end_to_end")]
    if machine.recompute and wanted and not NETWORKS[model.network].recomputes:
        raise UserError(
            "--recompute needs towers of one output each that are used whole, and "
            f"--network={model.network} has others. Received --recompute for the stage "
            f"{wanted[0]}: train it without; --accumulate_steps saves memory too"
        )


def check_stages(
    model: ModelConfig, asked: tuple[str, ...], out: Path, towers_from: Path | None
) -> None:
    """Refuse stages that need others which are neither asked for nor finished.

    Raises:
        UserError: Names the missing stage.
    """
    if "fusion" not in model.stages and asked == ("fusion",):
        raise UserError(f"--network={model.network} has no fusion stage to train")
    if "fusion" in asked and "end_to_end" in model.stages:
        raise UserError(
            f"--network={model.network} has no fusion stage: it is trained end to end. "
            f"Give --stages=rgb,flow,end_to_end. Received: {','.join(asked)}"
        )
    for name in asked:
        before_last = (*model.streams, *model.upper_stages)
        needed = {"fusion": model.streams, "end_to_end": before_last}
        for before in needed.get(name, ()):
            is_tower = before in model.streams
            folder = towers_from if is_tower and towers_from else out
            state = StageCheckpoints.open(folder / "checkpoints" / before)
            if (before in asked and folder == out) or state.finished:
                continue
            what = f"{before} tower" if is_tower else f"{before} stage"
            raise UserError(
                f"--stages has {name}, but the {what} of {folder} is not trained: add "
                f"{before} to --stages, or set --{_flags_of(before)}_epochs=0 there to "
                "use it as loaded"
            )


def towers_run(run: Run) -> Run:
    """The run whose towers a run takes: itself, or the one of `--towers_from`.

    Raises:
        UserError: That run's towers are of other data or settings.
    """
    if run.towers_from is None:
        return run
    other = Run.open(run.towers_from)
    pairs = {f"--{name}": (getattr(run.model, name), getattr(other.model, name))
             for name in SHARED_MODEL}  # fmt: skip
    if _tells_frames_apart(run.model):
        pairs["--frames"] = (run.model.frames, other.model.frames)
    pairs["--split"] = (run.training.split, other.training.split)
    pairs["--flow"] = (run.flow, other.flow)
    if run.training.folds:  # else the towers know the videos that are held out here
        for name in ("folds", "fold"):
            values = getattr(run.training, name), getattr(other.training, name)
            pairs[f"--{name}"] = values
    pairs["--data (digest)"] = (run.data_digest[:12], other.data_digest[:12])
    for name, (here, there) in pairs.items():
        if here != there:
            raise UserError(
                f"the towers of {other.folder} were trained with {name} {there}, "
                f"this run has {here}: give the same"
            )
    return other


def _flags_of(stage: str) -> str:
    """How the flags of a stage begin: a tower's are those of the pixels it reads."""
    return STREAMS[stage].reads if stage in STREAMS else stage


def _tells_frames_apart(model: ModelConfig) -> bool:
    """Whether a tower sees more of a segment's frames than the first."""
    more = {"difference", "dynamic_rgb"} & set(model.streams)
    clips = models.TOWERS[model.tower].time
    return bool(more) or clips or model.rgb_motion == "difference"
