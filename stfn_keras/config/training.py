"""How a network is trained: its stages, and the run as a whole."""

from dataclasses import dataclass

from stfn_keras.config.options import check_at_least, check_choices, option
from stfn_keras.config.streams import STREAMS
from stfn_keras.errors import UserError

STAGES = (*STREAMS, "fusion", "end_to_end")
PRECISIONS = ("float32", "bfloat16", "float16")


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
    mixup: float = option(
        0.0, "mixup: alpha of the Beta distribution of its shares; 0: none"
    )
    ema: float = option(
        0.0, "momentum of the weights' moving average, which is the result; 0: none"
    )
    patience: int = option(
        0, "stop after so many epochs without a better validation top-1; 0: never"
    )
    accumulate_steps: int = option(
        1, "equal parts a batch is computed in, one after another, to save memory"
    )

    def __post_init__(self) -> None:
        check_choices(self)
        at_least_0 = ("epochs", "rate", "warmup", "weight_decay", "clip_norm", "mixup")
        check_at_least(self, 0, *at_least_0, "patience", prefix="a stage's ")
        check_at_least(self, 1, "batch", "accumulate_steps", prefix="a stage's ")
        if self.batch % self.accumulate_steps:
            raise UserError(
                "accumulate_steps of a stage must divide its batch. Received: a batch "
                f"of {self.batch} in {self.accumulate_steps} parts"
            )
        for name in ("dropout", "label_smoothing", "ema"):
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
    batchnorm_momentum: float = option(
        0.0, "momentum of trained batch normalisations; 0: the tower's own, often .99"
    )
    randaugment: int = option(
        0, "RandAugment operations per video, the same for its segments; 0: none"
    )
    magnitude: float = option(5.0, "strength of RandAugment, 0 to 10")
    erase: float = option(
        0.0, "probability of erasing one rectangle from a whole video's crops"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "randaugment", "magnitude", prefix="a stage's ")
        if self.magnitude > 10.0:
            raise UserError(
                f"RandAugment's magnitude must be 0 to 10. Received: {self.magnitude}"
            )
        for name in ("batchnorm_momentum", "erase"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(
                    f"{name} of a stage must be in 0..1. Received: "
                    f"{getattr(self, name)}"
                )
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
    first_rate: float = option(
        1.0, "factor on the rate of the tower's first convolution (T: TSN, flow: 5)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "segments", prefix="a stage's ")
        check_at_least(self, 0, "first_rate", prefix="a stage's ")


# T: TSN, both towers.
RGB_STAGE = TowerStageConfig(
    epochs=80, batch=128, rate=1e-3, optimizer="sgd", milestones=(30, 60),
    weight_decay=5e-4, clip_norm=20.0, dropout=0.8,
)  # fmt: skip
FLOW_STAGE = TowerStageConfig(
    epochs=340, batch=128, rate=1e-3, optimizer="sgd", milestones=(190, 300),
    weight_decay=5e-4, clip_norm=20.0, dropout=0.7, scales=(1.0, 0.875, 0.75),
    first_rate=5.0,
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
        (*STREAMS, "fusion"),
        "stages to run, in this order, as far as the network has them: "
        + ", ".join(STAGES),
        STAGES,
    )
    seed: int = option(0, "seed of weights, draws and shuffles")
    flow: str = option("", "which of the data's flow fields to use; empty: its first")
    rgb_weights: str = option(
        "imagenet",
        "weights of the towers: imagenet, none, a local .weights.h5, or a TensorFlow "
        "checkpoint of I3D or Inception-v1 (model.ckpt)",
    )
    flow_weights: str = option(
        "", "the same of the flow towers alone; empty: as --flow_init says"
    )
    flow_init: str = option(
        "cross_modality",
        "flow tower from the RGB weights by cross-modality initialisation (T: TSN)",
        ("cross_modality", "none"),
    )
    feature_views: int = option(
        1, "views per snippet in the feature cache: 1 centre, 2 also mirrored", (1, 2)
    )
    fusion_init: str = option(
        "random",
        "the fusion's classifiers at its start; towers: those the towers trained",
        ("random", "towers"),
    )
    fusion_videos: str = option(
        "train",
        "with --folds, whose features train the fusion: those that trained the towers, "
        "those held out, which the towers never saw, or both (C)",
        ("train", "held_out", "both"),
    )
    stream_loss: float = option(
        0.0, "weight of each stream's own cross-entropy in the fusion (C)"
    )
    modality_dropout: float = option(
        0.0, "chance that the fusion is shown one stream alone, in training (C)"
    )
    class_weights: str = option(
        "none",
        "weights of the classes in the loss; balanced: by how few videos they have",
        ("none", "balanced"),
    )
    precision: str = option(
        "float32",
        "what towers and fusion compute in; weights and classifiers stay float32",
        PRECISIONS,
    )
    folds: int = option(
        0, "parts of the training groups, of which one validates; 0: the data's own"
    )
    fold: int = option(1, "which of --folds validates, from 1")
    reset_head: bool = option(
        False, "with --init_from: new classifiers, for other classes"
    )
    rgb: TowerStageConfig = RGB_STAGE
    flow_stage: TowerStageConfig = FLOW_STAGE
    fusion: StageConfig = FUSION_STAGE
    end_to_end: PixelStageConfig = END_TO_END_STAGE

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 1, "split")
        check_at_least(self, 0, "folds")
        if self.folds == 1 or (self.folds and not 1 <= self.fold <= self.folds):
            raise UserError(
                "--folds must be 0 or at least 2, and --fold one of them. Received: "
                f"--folds={self.folds} --fold={self.fold}"
            )
        if self.fusion_videos != "train" and not self.folds:
            raise UserError(
                f"--fusion_videos={self.fusion_videos} needs --folds, which holds "
                "videos out. Received: --folds=0"
            )
        if not 0.0 <= self.modality_dropout < 1.0:
            raise UserError(
                "--modality_dropout must be in 0..1, 1 excluded. Received: "
                f"{self.modality_dropout}"
            )
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
        """The settings of a tower's stage: the flags of the pixels that it reads."""
        return {"rgb": self.rgb, "flow": self.flow_stage}[STREAMS[stream].reads]

    def tower_weights(self, stream: str) -> str:
        """What a tower starts from: `imagenet`, `none`, or a file.

        `flow_weights` are those of the flow tower itself; dynamic flow has other
        channels, and starts from RGB weights.
        """
        if STREAMS[stream].reads == "flow":
            if self.flow_weights and stream == "flow":
                return self.flow_weights
            if self.flow_init == "none":
                return "none"
        return self.rgb_weights

    def stage(self, name: str) -> StageConfig:
        """The settings of the stage of that name."""
        others = {"fusion": self.fusion, "end_to_end": self.end_to_end}
        return others[name] if name in others else self.tower_stage(name)
