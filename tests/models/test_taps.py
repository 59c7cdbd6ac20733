"""The maps of every tower's stages: their strides, their weights, who lacks which."""

import keras
import numpy as np
import pytest

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models import (
    TOWERS,
    TimeDistributed,
    activation_bytes,
    build_tower,
    copy_by_name,
    freeze,
    recompute_towers,
    weighted_layers,
)
from stfn_keras.models.taps import tapped_tower

STRIDES = {"stage2": 4, "stage3": 8, "stage4": 16, "stage5": 32}
LIKE = ("resnet101", "resnet152", "convnext_small")  # one built, of other counts
LARGE = ("inception_v3", "efficientnet_v2_s", "convnext_tiny")
IMAGES = [name for name, tower in TOWERS.items() if not tower.time]
BUILT = [
    pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else [])
    for name in IMAGES
    if name not in LIKE
]
TINY = ModelConfig(tower="tiny", rgb_size=32, pairs=1, segments=2)
ALL = ("stage2", "stage3", "stage5", "features")


def images(batch: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (batch, 32, 32, 3), "uint8")


@pytest.mark.parametrize("name", BUILT)
def test_each_stage_is_the_last_map_of_its_stride(name):
    size = max(64, TOWERS[name].minimum)
    config = ModelConfig(tower=name, rgb_size=size)
    taps = TOWERS[name].taps
    tower = tapped_tower(config, "rgb", [*taps, "features"])
    assert tower.output["features"].shape == (None, TOWERS[name].features)
    names = [layer.name for layer in tower.layers]
    sides = []
    for stage, layer in taps.items():
        side = tower.output[stage].shape[1]
        sides.append(side)
        if name == "inception_v3":  # it does not pad
            assert size // STRIDES[stage] - 4 <= side < size / STRIDES[stage]
        elif name == "tiny" and stage == "stage5":
            assert side == size / 16
        else:
            assert side == size / STRIDES[stage]
        # No block of this size ends behind it.
        ends = [
            index
            for index, other in enumerate(tower.layers)
            if isinstance(other, (keras.layers.Add, keras.layers.Concatenate))
            and other.output.shape[1] == side
        ]
        assert names.index(layer) >= max(ends, default=0)
    assert sides == sorted(set(sides), reverse=True)
    pooled = [x for x in tower.layers if x.name == "avg_pool"][0]
    assert pooled.input.shape == tower.output["stage5"].shape


@pytest.mark.parametrize(("name", "depth"), [("resnet50", 50), ("resnet101", 101),
                                             ("resnet152", 152)])  # fmt: skip
def test_the_blocks_of_a_resnet_are_as_many_as_its_name_says(name, depth):
    """Three convolutions a block, one before them, and the classifier."""
    ends = TOWERS[name].taps.values()
    blocks = sum(int(end.split("block")[1].split("_")[0]) for end in ends)
    assert 3 * blocks + 2 == depth


def test_convnext_small_differs_in_its_third_stage():
    small, large = (TOWERS[f"convnext_{n}"].taps for n in ("tiny", "small"))
    assert large == {**small, "stage4": "stage2_block26_add"}


def test_layers_and_their_order_are_the_plain_towers():
    """Freezing counts layers, and files of weights go by their order."""
    config = ModelConfig(tower="resnet50", rgb_size=32)
    plain = build_tower(config, "rgb")
    tapped = tapped_tower(config, "rgb", ["stage5", "stage3", "features"])
    expected = [layer.name for layer in weighted_layers(plain)]
    assert [layer.name for layer in weighted_layers(tapped)] == expected
    assert [w.path for w in tapped.weights] == [w.path for w in plain.weights]


def test_weights_are_copied_by_name_and_frozen_alike():
    plain, tapped = build_tower(TINY, "rgb"), tapped_tower(TINY, "rgb", ALL)
    copy_by_name(plain, tapped)
    outputs = tapped(images())
    assert list(outputs) == list(ALL)
    np.testing.assert_array_equal(outputs["features"], plain(images()))
    mean = np.mean(outputs["stage5"], axis=(1, 2))
    np.testing.assert_allclose(mean, outputs["features"], rtol=1e-5)
    for tower in (plain, tapped):
        freeze(tower, 0.5, partial_batchnorm=True)
    flags = [[x.trainable for x in weighted_layers(t)] for t in (plain, tapped)]
    assert flags[0] == flags[1]


def test_layers_behind_the_last_output_are_left_out():
    tower = tapped_tower(TINY, "rgb", ["stage3"])
    assert [x.name for x in weighted_layers(tower)][-2:] == ["conv3", "bn3"]


def test_float32_also_in_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        tower = tapped_tower(TINY, "rgb", ALL)
    finally:
        keras.config.set_dtype_policy(before)
    assert {np.array(x).dtype for x in tower(images()).values()} == {np.dtype("f4")}
    assert tower.get_layer("relu3").compute_dtype == "bfloat16"


def test_a_stage_that_a_tower_lacks():
    with pytest.raises(UserError, match="maps stage4: resnet50, .*inception_v1. Rec"):
        tapped_tower(TINY, "rgb", ["stage3", "stage4"])
    with pytest.raises(UserError, match="there is none.*tiny, which has stage2, .*fea"):
        tapped_tower(TINY, "rgb", ["conv1"])


def network(names: tuple[str, ...]) -> keras.Model:
    inputs = keras.Input((2, 32, 32, 3), dtype="uint8")
    wrapper = TimeDistributed(tapped_tower(TINY, "rgb", names), name="rgb_features")
    return keras.Model(inputs, wrapper(inputs))


def test_recompute_refuses_several_outputs_and_says_so():
    with pytest.raises(UserError, match="towers of one output.*rgb_tower, which gives"):
        recompute_towers(network(ALL))


def test_recompute_takes_one_map():
    model = network(("stage5",))
    x = images(4).reshape(2, 2, 32, 32, 3)
    expected = model(x, training=True)["stage5"]
    assert recompute_towers(model) > 2
    np.testing.assert_array_equal(model(x, training=True)["stage5"], expected)


def test_the_memory_of_several_outputs_is_that_of_the_last():
    """A tap keeps nothing: what it is cast from or to is kept for other layers."""
    assert activation_bytes(network(ALL)) == activation_bytes(network(ALL[-1:]))


def test_every_tower_of_images_has_maps_before_its_pooling():
    assert all("stage5" in TOWERS[name].taps for name in IMAGES)
    assert not any(TOWERS[name].taps for name in TOWERS.keys() - set(IMAGES))
