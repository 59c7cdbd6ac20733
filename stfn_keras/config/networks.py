"""The networks by name. A new one is a module that builds it, and a line here.

NETWORKS["late_fusion"].streams  # ("rgb", "flow")

A module has `build(config, classes)` and, where they are needed, `build_head`,
`take_towers` and `initialise`: see `models/network.py`, which calls them.
"""

from dataclasses import dataclass

ROOM = "stfn_keras.models.networks"
POOLED = f"{ROOM}.pooled"


@dataclass(frozen=True)
class Network:
    """What is known of a network before it is built.

    Attributes:
        description: What it is, in a line, for `--list_networks`.
        module: The module that builds it.
        streams: Its streams, a tower each; of `config/streams.py`.
        stages: The stages that it needs besides its towers'. None: the video's
            logits are a consensus of independent segments, which the towers alone
            give. `fusion` trains what stands above the towers, which stay as they
            are; `end_to_end` trains all of it.
        any_streams: Whether `--modalities` may give it other streams.
        pooled: Whether what stands above the towers reads their pooled features
            alone, so that it can be trained and scored on cached ones.
        auxiliary: Whether it has classifiers that only losses of their own train:
            those of `--stream_loss`.
        recomputes: Whether its towers can be computed again block by block, as
            `--recompute` asks, within the network.
    """

    description: str
    module: str
    streams: tuple[str, ...] = ("rgb", "flow")
    stages: tuple[str, ...] = ("fusion",)
    any_streams: bool = False
    pooled: bool = True
    auxiliary: bool = False
    recomputes: bool = True


NETWORKS = {
    "stfn": Network(
        "the Spatio-Temporal Fusion Network of the poster (ACCV, 2018)", POOLED
    ),
    "spatial": Network("the RGB tower alone, segments averaged", POOLED, ("rgb",), ()),
    "temporal": Network("the flow tower alone, the same", POOLED, ("flow",), ()),
    "late_fusion": Network(
        "mean of the towers' classifiers", POOLED, stages=(), any_streams=True
    ),
    "feature_fusion": Network("STFN's ablation with one fused stream", POOLED),
    "two_stream": Network(
        "Two-stream ConvNets (Simonyan and Zisserman, 2014): with --pairs=10",
        POOLED,
        stages=(),
        any_streams=True,
    ),
    "tsn": Network(
        "Temporal Segment Networks (Wang et al., 2018): with --consensus",
        POOLED,
        stages=(),
        any_streams=True,
    ),
    "four_stream": Network(
        "Four-stream dynamic images (Bilen et al., 2018): with --frames=10 --pairs=10",
        POOLED,
        ("rgb", "flow", "dynamic_rgb", "dynamic_flow"),
        stages=(),
    ),
    "i3d": Network(
        "I3D (Carreira, Zisserman, 2017): with --tower=i3d --frames=64 --pairs=64",
        f"{ROOM}.i3d",
        stages=(),
    ),
    "action_vlad": Network(
        "ActionVLAD (Girdhar et al., 2017): all places of all segments around centres",
        f"{ROOM}.action_vlad",
        any_streams=True,
        pooled=False,
    ),
    "off": Network(
        "Optical Flow guided Feature (Sun et al., 2018): feature differences, Sobel",
        f"{ROOM}.off",
        any_streams=True,
        pooled=False,
        auxiliary=True,
        recomputes=False,
    ),
    "st_resnet": Network(
        "ST-ResNet (Feichtenhofer et al., 2016): additive links between two ResNets",
        f"{ROOM}.st_resnet",
        stages=("end_to_end",),
        pooled=False,
        recomputes=False,
    ),
    "st_multiplier": Network(
        "ST-Multiplier (Feichtenhofer et al., 2017): multiplicative links",
        f"{ROOM}.st_multiplier",
        stages=("end_to_end",),
        pooled=False,
        recomputes=False,
    ),
}
