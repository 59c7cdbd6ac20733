"""Which network, and how it fuses."""

import dataclasses
from dataclasses import dataclass

from stfn_keras.config.networks import NETWORKS
from stfn_keras.config.options import check_at_least, check_choices, option
from stfn_keras.config.streams import STREAMS
from stfn_keras.errors import UserError

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
    "inception_v1",
    "i3d",
    "i3d_resnet50",
    "tiny",
)
DIRECTIONS = ("bi", "uni")
FUSIONS = ("average", "maximum", "multiply")
RESIDUALS = ("fused", "own")
TEMPORALS = ("res_inception", "mlp")
FEATURE_NORMS = ("none", "layer")
AGGREGATES = ("mean", "max", "attention")
COMBINATIONS = ("logits", "softmax")
CONSENSUSES = ("mean", "max", "top_k", "attention", "feature_max")
MOTIONS = ("none", "shift", "gate", "difference")


@dataclass(frozen=True)
class ModelConfig:
    """A network: which towers, and how their features are fused over time."""

    network: str = option("stfn", "what to build: --list_networks says more", NETWORKS)
    tower: str = option("resnet101", "the network of both streams (P)", TOWERS)
    segments: int = option(7, "segments T per video (P: 7 is best)")
    rgb_size: int = option(0, "side of the RGB input in pixels; 0: the tower's own")
    flow_size: int = option(0, "side of the flow input in pixels; 0: as --rgb_size")
    pairs: int = option(5, "flow pairs per segment: 2 channels each (T: TSN)")
    frames: int = option(1, "RGB frames in a row per segment: 3 channels each")
    modalities: tuple[str, ...] = option(
        (),
        "streams, a tower each, of a network that takes any; empty: its own "
        "(docs/models.md)",
        STREAMS,
    )
    modality_weights: tuple[float, ...] = option(
        (),
        "weights of the streams' logits in their mean, in the order of the streams; "
        "empty: 1 of RGB, --flow_weight of flow",
    )
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
    rgb_motion: str = option(
        "none",
        "motion inside the RGB tower: TSM's shift, TEA's gate, or TDN's difference "
        "of --frames (docs/models/upgrades.md)",
        MOTIONS,
    )
    feature_motion: str = option(
        "none",
        "the same of each segment's features, before the temporal module (C)",
        MOTIONS,
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
        check_at_least(self, 1, "frames")
        self._check_modalities()
        if self.rgb_motion == "difference" and self.frames < 2 and self.lifts_rgb:
            raise UserError(
                "--rgb_motion=difference reads how the frames of a segment differ: "
                "expected --frames of 2 or more (TDN: 5). Received: "
                f"--frames={self.frames}"
            )

    def _check_modalities(self) -> None:
        if self.modalities and not NETWORKS[self.network].any_streams:
            known = [name for name, entry in NETWORKS.items() if entry.any_streams]
            raise UserError(
                f"--modalities is for --network={', '.join(known)}. Received: "
                f"--network={self.network}, which has its own streams"
            )
        if len(set(self.modalities)) < len(self.modalities):
            raise UserError(
                "--modalities must be distinct. Received: " + ",".join(self.modalities)
            )
        for name in self.streams:
            stream = STREAMS[name]
            flag = {"rgb": "frames", "flow": "pairs"}[stream.reads]
            if getattr(self, flag) < stream.least:
                raise UserError(
                    f"the stream {name} is made of {stream.least} {flag} or more of a "
                    f"segment. Received: --{flag}={getattr(self, flag)}"
                )
        weights = self.modality_weights
        if weights and (len(weights) != len(self.streams) or min(weights) < 0.0):
            raise UserError(
                "--modality_weights must be one number, 0 or more, for each of the "
                f"streams {', '.join(self.streams)}. Received: "
                + ",".join(f"{weight:g}" for weight in weights)
            )
        if weights and not any(weights):
            raise UserError("--modality_weights must not all be 0")

    @property
    def streams(self) -> tuple[str, ...]:
        """The network's streams, a tower each."""
        return self.modalities or NETWORKS[self.network].streams

    @property
    def inputs(self) -> tuple[str, ...]:
        """The pixels that its streams read: `rgb`, `flow` or both."""
        read = {STREAMS[stream].reads for stream in self.streams}
        return tuple(name for name in ("rgb", "flow") if name in read)

    @property
    def stream_weights(self) -> tuple[float, ...]:
        """The weight of each stream's logits in their mean."""
        usual = {"rgb": 1.0, "flow": self.flow_weight}
        own = tuple(usual[STREAMS[stream].reads] for stream in self.streams)
        return self.modality_weights or own

    def alone(self, stream: str) -> "ModelConfig":
        """The same of one stream alone: the network that trains its tower."""
        known = {"rgb": "spatial", "flow": "temporal"}
        return dataclasses.replace(
            self,
            network=known.get(stream, "late_fusion"),
            modalities=() if stream in known else (stream,),
            modality_weights=(),
        )

    @property
    def views_are_snippets(self) -> bool:
        """Whether views of one snippet each, averaged, are what the network computes.

        Not so where it averages softmaxes of videos, takes another consensus than the
        mean, or has a tower that mixes segments: its T segments belong together.
        """
        alone = len(self.streams) == 1 or self.combination == "logits"
        mean = self.consensus == "mean" and not self.mixes_segments
        return self.is_consensus and alone and mean

    @property
    def is_consensus(self) -> bool:
        """Whether the video's logits are a consensus of its segments' own."""
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
    def lifts_rgb(self) -> bool:
        """Whether `rgb_motion` finds the tower that it goes into, and changes it."""
        return self.rgb_motion != "none" and "rgb" in self.streams

    @property
    def mixes_segments(self) -> bool:
        """Whether a tower sees neighbouring segments, and so reads whole videos."""
        return self.lifts_rgb and self.rgb_motion != "difference"

    @property
    def has_head(self) -> bool:
        """Whether what stands above the towers reads their pooled features alone."""
        return NETWORKS[self.network].pooled

    @property
    def is_pooled(self) -> bool:
        """Whether that can be trained and scored on cached features of segments."""
        return self.has_head and not self.mixes_segments

    @property
    def read_whole_for(self) -> str:
        """The flag for which it is not `is_pooled`, for messages."""
        if self.has_head:
            return f"--rgb_motion={self.rgb_motion}"
        return f"--network={self.network}"
