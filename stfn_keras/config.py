"""Every setting of the program, as frozen dataclasses.

    model = ModelConfig(tower="resnet101", segments=7)
    model = dataclasses.replace(model, blocks=1)

Flags are made from these classes once (`stfn_keras.flags`); every run writes
the resolved values to its `config.json`, and every exported model carries them.
Marks: P stated by the poster, T taken from a named public source, C our choice.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from stfn_keras.errors import UserError

FLOW_BOUND = 20.0  # pixels per frame at the stored size (T: TSN)

TOWERS = (
    "resnet50",
    "resnet101",
    "resnet152",
    "inception_v3",
    "mobilenet_v2",
    "efficientnet_lite0",
    "tiny",
)
NETWORKS = ("stfn", "spatial", "temporal", "late_fusion", "feature_fusion")
DIRECTIONS = ("bi", "uni")
FUSIONS = ("average", "maximum", "multiply")
RESIDUALS = ("fused", "own")
LAYOUTS = ("snippet", "dense")
STAGES = ("rgb", "flow", "fusion", "end_to_end")


def option(default: Any, help: str, choices: tuple = ()) -> Any:
    """A dataclass field whose help text and choices its flag shows."""
    return field(default=default, metadata={"help": help, "choices": choices})


def check_choices(config: Any) -> None:
    """Raise UserError where a field's value is not one of its choices."""
    for item in dataclasses.fields(config):
        choices = item.metadata.get("choices")
        values = getattr(config, item.name)
        for value in values if isinstance(values, tuple) else (values,):
            if choices and value not in choices:
                raise UserError(
                    f"--{item.name} must be one of {', '.join(map(str, choices))}. "
                    f"Received: {value!r}"
                )


def check_at_least(
    config: Any, minimum: float, *names: str, prefix: str = "--"
) -> None:
    """Raise UserError where a named field is below `minimum`.

    `prefix` stands before the name in the message: the dashes of its flag, or
    another word where one class serves several flags.
    """
    for name in names:
        value = getattr(config, name)
        if value < minimum:
            raise UserError(
                f"{prefix}{name} must be {minimum} or more. Received: {value}"
            )


@dataclass(frozen=True)
class PreparationConfig:
    """How videos become encoded snippets; carried by data and models alike."""

    flow: tuple[str, ...] = option(
        ("dis",), "flow presets to compute, comma-separated; warped_ may stand before"
    )
    layout: str = option(
        "snippet",
        "what is stored: evenly spread snippets, or every frame and pair once",
        LAYOUTS,
    )
    snippets: int = option(25, "snippets kept per video, evenly spread (T: TSN)")
    pairs: int = option(5, "flow pairs per snippet: 5 give 10 channels (T: TSN)")
    rgb_per_snippet: int = option(1, "consecutive RGB frames kept per snippet")
    size: str = option(
        "256", "short side in pixels at most (never enlarged), or WIDTHxHEIGHT"
    )
    flip: bool = option(True, "a mirror image keeps its class; --noflip where not")

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 1, "snippets", "pairs", "rgb_per_snippet")
        if not self.flow:
            raise UserError("--flow must name at least one preset. Received: none")
        parts = self.size.split("x")
        if len(parts) > 2 or not all(p.isdigit() and int(p) >= 16 for p in parts):
            raise UserError(
                "--size must be a short side such as 256, or WIDTHxHEIGHT such as "
                f"340x256, of 16 pixels or more. Received: {self.size!r}"
            )


@dataclass(frozen=True)
class ModelConfig:
    """A network: which towers, and how their features are fused over time."""

    network: str = option(
        "stfn", "what to build; all but stfn are the poster's baselines", NETWORKS
    )
    tower: str = option("resnet101", "the network of both streams (P)", TOWERS)
    segments: int = option(7, "segments T per video (P: 7 is best)")
    rgb_size: int = option(0, "side of the RGB input in pixels; 0: the tower's own")
    flow_size: int = option(0, "side of the flow input in pixels; 0: as --rgb_size")
    pairs: int = option(5, "flow pairs per segment: 2 channels each (T: TSN)")
    width: int = option(
        0, "channels of each res-inception branch; 0: a quarter of the features (C)"
    )
    blocks: int = option(2, "spatio-temporal fusion blocks (P: 2 is best)")
    direction: str = option("bi", "direction of fusion (P: bi is best)", DIRECTIONS)
    fusion: str = option("average", "fusion operation (P: average is best)", FUSIONS)
    residual: str = option("fused", "what a block's shortcut carries (C)", RESIDUALS)
    dropout: float = 0.5  # no flag: each training stage sets its own
    flow_weight: float = option(
        1.0, "weight of the flow logits against the RGB logits in their mean (C)"
    )

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 1, "segments", "pairs")
        check_at_least(self, 0, "rgb_size", "flow_size", "width", "blocks")
        check_at_least(self, 0.0, "dropout", "flow_weight")

    @property
    def streams(self) -> tuple[str, ...]:
        """The input streams that the network reads."""
        return {"spatial": ("rgb",), "temporal": ("flow",)}.get(
            self.network, ("rgb", "flow")
        )

    @property
    def is_consensus(self) -> bool:
        """Whether the video's logits are a mean over independent segments."""
        return self.network in ("spatial", "temporal", "late_fusion")


@dataclass(frozen=True)
class StageConfig:
    """How one training stage optimises; flags carry the stage's name in front."""

    epochs: int = option(30, "epochs")
    batch: int = option(16, "videos per batch")
    rate: float = option(5e-5, "learning rate")
    optimizer: str = option("adam", "optimizer", ("sgd", "adam", "adamw"))
    schedule: str = option("step", "rate schedule", ("step", "cosine", "constant"))
    milestones: tuple[int, ...] = option(
        (), "epochs after which the step schedule divides the rate by 10"
    )
    warmup: float = option(0.0, "epochs of linear warm-up")
    weight_decay: float = option(0.0, "weight decay")
    clip_norm: float = option(0.0, "gradient-norm clip over all variables; 0: none")
    label_smoothing: float = option(0.0, "label smoothing")
    dropout: float = option(0.5, "dropout before the classifier in this stage")

    def __post_init__(self) -> None:
        check_choices(self)
        at_least_0 = ("epochs", "rate", "warmup", "weight_decay", "clip_norm")
        check_at_least(self, 0, *at_least_0, prefix="a stage's ")
        check_at_least(self, 1, "batch", prefix="a stage's ")
        for name in ("dropout", "label_smoothing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise UserError(
                    f"{name} of a stage must be in 0..1, 1 excluded. Received: "
                    f"{getattr(self, name)}"
                )


@dataclass(frozen=True)
class PixelStageConfig(StageConfig):
    """A stage that reads pixels: a tower, or the whole network."""

    frozen: float = option(0.0, "fraction of each tower's layers kept as loaded")
    partial_batchnorm: bool = option(
        True, "freeze every batch normalisation but a tower's first (T: TSN)"
    )
    scales: tuple[float, ...] = option(
        (1.0, 0.875, 0.75, 0.66),
        "sides of the training crops over the short side, descending (T: TSN)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.scales or not all(0.0 < scale <= 1.0 for scale in self.scales):
            raise UserError(
                f"crop scales must lie in 0..1, 0 excluded. Received: {self.scales}"
            )
        if not 0.0 <= self.frozen <= 1.0:
            raise UserError(
                f"the frozen fraction must be in 0..1. Received: {self.frozen}"
            )


@dataclass(frozen=True)
class TowerStageConfig(PixelStageConfig):
    """The stage of one tower, trained on independent snippets."""

    segments: int = option(3, "segments drawn per video in this stage (T: TSN)")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "segments", prefix="a stage's ")


# T: TSN, both towers. Its fivefold rate of the flow tower's first layer is left out.
RGB_STAGE = TowerStageConfig(
    epochs=80, batch=128, rate=1e-3, optimizer="sgd", milestones=(30, 60),
    weight_decay=5e-4, clip_norm=20.0, dropout=0.8,
)  # fmt: skip
FLOW_STAGE = TowerStageConfig(
    epochs=340, batch=128, rate=1e-3, optimizer="sgd", milestones=(190, 300),
    weight_decay=5e-4, clip_norm=20.0, dropout=0.7, scales=(1.0, 0.875, 0.75),
)  # fmt: skip
# T: Temporal-Inception.
FUSION_STAGE = StageConfig(
    epochs=30, batch=16, rate=5e-5, milestones=(10, 20), dropout=0.2
)
# C: the fusion recipe at a tenth of its rate, on pixels.
END_TO_END_STAGE = PixelStageConfig(
    epochs=10, batch=16, rate=5e-6, schedule="constant", dropout=0.2
)


@dataclass(frozen=True)
class TrainingConfig:
    """What `train.py` does besides the network and the stages' own settings."""

    split: int = option(1, "which of the data's splits to train on, from 1")
    stages: tuple[str, ...] = option(
        ("rgb", "flow", "fusion"),
        "stages to run, in this order: rgb, flow, fusion, end_to_end",
        STAGES,
    )
    seed: int = option(0, "seed of weights, draws and shuffles")
    flow: str = option("", "which of the data's flow fields to use; empty: its first")
    rgb_weights: str = option(
        "imagenet", "weights of the towers: imagenet, none, or a local .weights.h5"
    )
    flow_init: str = option(
        "cross_modality",
        "flow tower from the RGB weights by cross-modality initialisation (T: TSN)",
        ("cross_modality", "none"),
    )
    feature_views: int = option(
        1, "views per snippet in the feature cache: 1 centre, 2 also mirrored", (1, 2)
    )
    stream_loss: float = option(
        0.0, "weight of each stream's own cross-entropy in the fusion (C)"
    )
    rgb: TowerStageConfig = RGB_STAGE
    flow_stage: TowerStageConfig = FLOW_STAGE
    fusion: StageConfig = FUSION_STAGE
    end_to_end: PixelStageConfig = END_TO_END_STAGE

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 1, "split")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"--seed must be 0 to {2**32 - 1}. Received: {self.seed}")
        wrong = [a for a, b in zip(self.stages, self.stages[1:], strict=False)
                 if STAGES.index(a) >= STAGES.index(b)]  # fmt: skip
        if wrong:
            raise UserError(
                f"--stages must keep the order {', '.join(STAGES)}. "
                f"Received: {', '.join(self.stages)}"
            )

    def tower_stage(self, stream: str) -> TowerStageConfig:
        """The settings of the stage `rgb` or `flow`."""
        return {"rgb": self.rgb, "flow": self.flow_stage}[stream]

    def stage(self, name: str) -> StageConfig:
        """The settings of the stage of that name."""
        others = {"fusion": self.fusion, "end_to_end": self.end_to_end}
        return others[name] if name in others else self.tower_stage(name)
