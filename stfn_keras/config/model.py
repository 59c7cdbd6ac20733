"""Which network, and how it fuses."""

from dataclasses import dataclass

from stfn_keras.config.networks import NETWORKS
from stfn_keras.config.options import check_at_least, check_choices, option

TOWERS = (
    "resnet50",
    "resnet101",
    "resnet152",
    "inception_v3",
    "mobilenet_v2",
    "efficientnet_lite0",
    "efficientnet_v2_b0",
    "efficientnet_v2_s",
    "convnext_tiny",
    "convnext_small",
    "tiny",
)
DIRECTIONS = ("bi", "uni")
FUSIONS = ("average", "maximum", "multiply")
RESIDUALS = ("fused", "own")
TEMPORALS = ("res_inception", "mlp")
FEATURE_NORMS = ("none", "layer")
AGGREGATES = ("mean", "max", "attention")
COMBINATIONS = ("logits", "softmax")
CONSENSUSES = ("mean", "max", "top_k", "attention")


@dataclass(frozen=True)
class ModelConfig:
    """A network: which towers, and how their features are fused over time."""

    network: str = option("stfn", "what to build: --list_networks says more", NETWORKS)
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
    temporal: str = option(
        "res_inception",
        "the temporal module (P), or an MLP of as many weights that sees one segment",
        TEMPORALS,
    )
    zero_init: bool = option(
        False, "start every temporal module as the identity: branches scaled by 0 (C)"
    )
    feature_norm: str = option(
        "none", "normalisation of each segment's features (C)", FEATURE_NORMS
    )
    position: bool = option(
        False, "add a learned vector per segment to its features, 0 at first (C)"
    )
    motion_gate: bool = option(
        False, "gate each segment's features by the step to the next, as TEA does (C)"
    )
    aggregate: str = option("mean", "how segments become a video (C)", AGGREGATES)
    combination: str = option(
        "logits", "what of the streams' classifiers is averaged (C)", COMBINATIONS
    )
    consensus: str = option(
        "mean",
        "how segments become a video where they are independent (T: TSN)",
        CONSENSUSES,
    )
    top_k: int = option(3, "how many segments count in --consensus=top_k (C)")
    clusters: int = option(64, "centres of --network=action_vlad (T)")
    vlad_alpha: float = option(1000.0, "how hard its assignment to them is (T)")
    vlad_size: int = option(512, "channels of its local features, at most (T: VGG's)")
    dropout: float = 0.5  # no flag: each training stage sets its own
    modality_dropout: float = 0.0  # no flag: likewise
    flow_weight: float = option(
        1.0, "weight of the flow logits against the RGB logits in their mean (C)"
    )

    def __post_init__(self) -> None:
        check_choices(self)
        check_at_least(self, 1, "segments", "pairs", "top_k", "clusters", "vlad_size")
        check_at_least(self, 0, "rgb_size", "flow_size", "width", "blocks")
        check_at_least(
            self, 0.0, "dropout", "modality_dropout", "flow_weight", "vlad_alpha"
        )

    @property
    def streams(self) -> tuple[str, ...]:
        """The input streams that the network reads."""
        return NETWORKS[self.network].streams

    @property
    def views_are_snippets(self) -> bool:
        """Whether views of one snippet each, averaged, are what the network computes.

        Not so where it averages softmaxes of videos, or takes another consensus than
        the mean: its T segments belong together.
        """
        alone = len(self.streams) == 1 or self.combination == "logits"
        return self.is_consensus and alone and self.consensus == "mean"

    @property
    def is_consensus(self) -> bool:
        """Whether the video's logits are a consensus of independent segments."""
        return not self.stages

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that the network needs besides its towers'."""
        return NETWORKS[self.network].stages

    @property
    def upper_stages(self) -> tuple[str, ...]:
        """Those of them that train what stands above the towers, and no tower."""
        return tuple(stage for stage in self.stages if stage != "end_to_end")

    @property
    def is_pooled(self) -> bool:
        """Whether what stands above the towers reads their pooled features alone."""
        return NETWORKS[self.network].pooled
