"""The temporal shift: values by hand, and towers that it goes into."""

import keras
import numpy as np
import pytest
from small_resnet import randomise, use_small_resnet

from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.models import TimeDistributed, build_tower, copy_by_name
from stfn_keras.models.recompute import RecomputedTower
from stfn_keras.models.temporal_shift import TemporalShift, with_temporal_shift

CONFIG = ModelConfig(tower="resnet50", segments=3, rgb_size=32, pairs=2)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), "uint8")


def test_values_by_hand():
    """Two videos of three segments: nothing comes over from one to the other."""
    values = np.arange(1.0, 7).repeat(8).reshape(6, 1, 1, 8).astype("float32")
    shifted = np.array(TemporalShift(3)(values))
    np.testing.assert_array_equal(shifted[:, 0, 0, 0], [2, 3, 0, 5, 6, 0])  # from t + 1
    np.testing.assert_array_equal(shifted[:, 0, 0, 1], [0, 1, 2, 0, 4, 5])  # from t - 1
    np.testing.assert_array_equal(shifted[..., 2:], values[..., 2:])


def test_one_segment_and_small_shares():
    x = np.ones((2, 1, 1, 8), "float32")
    alone = np.array(TemporalShift(1)(x))
    np.testing.assert_array_equal(alone[0, 0, 0], [0, 0, 1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(TemporalShift(2, 0.0)(x), x)
    np.testing.assert_array_equal(TemporalShift(2, 0.12)(x), x)  # rounded down
    with pytest.raises(ValueError, match="0 to 0.5. Received: 0.6"):
        TemporalShift(2, 0.6)


def test_a_shifted_tower(monkeypatch, tmp_path):
    use_small_resnet(monkeypatch)
    tower = build_tower(CONFIG, "rgb")
    randomise(tower)
    x = images(6)
    expected = np.array(tower(x))

    none = with_temporal_shift(tower, 3, 0.0)
    np.testing.assert_array_equal(none(x), expected)
    shifted = with_temporal_shift(tower, 3)
    assert [w.path for w in shifted.weights] == [w.path for w in tower.weights]
    new = [layer.name for layer in shifted.layers if isinstance(layer, TemporalShift)]
    assert new == [f"conv{s}_block{b}_shift" for s in (2, 3) for b in (1, 2)]
    features = np.array(shifted(x))
    assert not np.allclose(features, expected, rtol=1e-3)
    # A video's features do not depend on the other videos of the batch.
    np.testing.assert_allclose(shifted(x[3:]), features[3:], rtol=1e-4, atol=1e-5)
    # The tower is folded in the same order by the networks.
    wrapped = TimeDistributed(shifted)
    folded = wrapped(x.reshape(2, 3, 32, 32, 3))
    np.testing.assert_allclose(
        np.reshape(folded, features.shape), features, rtol=1e-5, atol=1e-6
    )

    shifted.save(tmp_path / "tower.keras")
    loaded = keras.saving.load_model(tmp_path / "tower.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(x), shifted(x))
    plain = build_tower(CONFIG, "rgb")
    copy_by_name(shifted, plain)
    np.testing.assert_array_equal(plain(x), expected)

    again = RecomputedTower(shifted)(x)  # in training
    np.testing.assert_allclose(again, shifted(x, training=True), rtol=1e-3, atol=1e-4)


def test_the_shortcut_carries_its_own_segment(monkeypatch):
    use_small_resnet(monkeypatch)
    shifted = with_temporal_shift(build_tower(CONFIG, "rgb"), 3)
    for block, source in (
        ("conv2_block1", "pool1_pool"),
        ("conv3_block2", "conv3_block1_out"),
    ):
        shift = shifted.get_layer(f"{block}_shift")
        assert shift.input is shifted.get_layer(source).output
        assert shifted.get_layer(f"{block}_1_conv").input is shift.output
    add = shifted.get_layer("conv3_block2_add")
    assert add.input[0] is shifted.get_layer("conv3_block1_out").output
    first = shifted.get_layer("conv3_block1_0_conv")
    assert first.input is shifted.get_layer("conv2_block2_out").output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tower", "blocks", "first"),
    [
        ("mobilenet_v2", 10, "block_2_shift"),
        ("efficientnet_lite0", 9, "block2b_shift"),
    ],
)
def test_blocks_with_a_shortcut_alone(tower, blocks, first):
    config = ModelConfig(tower=tower, segments=3, rgb_size=32)
    shifted = with_temporal_shift(build_tower(config, "rgb"), 3)
    new = [layer.name for layer in shifted.layers if isinstance(layer, TemporalShift)]
    assert (len(new), new[0]) == (blocks, first)


def test_towers_without_known_blocks_are_refused():
    tower = build_tower(ModelConfig(tower="tiny", rgb_size=32), "rgb")
    with pytest.raises(UserError, match="--rgb_motion=shift .* resnet152, mobile"):
        with_temporal_shift(tower, 3)
