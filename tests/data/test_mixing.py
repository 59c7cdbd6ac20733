"""Mixup: one share and one partner per video, over segments and streams."""

import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.data import mixing

BATCH, SEGMENTS, CLASSES = 6, 3, 4
SEED = tf.constant([3, 1])


def batch() -> tuple[dict, dict]:
    """Videos that are flat: video k has the value 40 k in both streams."""
    values = (40 * np.arange(BATCH)).astype(np.uint8)[:, None, None, None, None]
    inputs = {
        "rgb": tf.constant(np.broadcast_to(values, (BATCH, SEGMENTS, 8, 8, 3))),
        "flow": tf.constant(np.broadcast_to(values, (BATCH, SEGMENTS, 4, 4, 2))),
    }
    one_hot = tf.one_hot(np.arange(BATCH), BATCH)  # every video its own class
    return inputs, {"logits": one_hot, "rgb_logits": one_hot}


def test_labels_say_how_both_streams_and_all_segments_were_blended():
    inputs, labels = mixing.mixed(*batch(), 1.0, SEED)
    share = labels["logits"].numpy()
    np.testing.assert_array_equal(share, labels["rgb_logits"])
    np.testing.assert_allclose(share.sum(1), 1.0, atol=1e-6)
    expected = share @ (40.0 * np.arange(BATCH))
    for images in inputs.values():
        assert images.dtype == tf.uint8
        blocks = images.numpy().reshape(BATCH, -1).astype(float)
        assert (blocks == blocks[:, :1]).all()
        np.testing.assert_allclose(blocks[:, 0], expected, atol=0.5)
    assert ((share > 0.01) & (share < 0.99)).any()


def test_features_are_blended_alike():
    features = tf.constant(
        np.random.default_rng(0).normal(size=(BATCH, 3, 5)), tf.float32
    )
    labels = {"logits": tf.one_hot(np.arange(BATCH), BATCH)}
    inputs, mixed = mixing.mixed({"rgb_features": features}, labels, 1.0, SEED)
    expected = np.einsum("ij,jtc->itc", mixed["logits"], features)
    np.testing.assert_allclose(inputs["rgb_features"], expected, atol=1e-5)


def test_weights_are_blended_alike():
    weights = {"logits": tf.range(1.0, BATCH + 1)}
    inputs, labels, found = mixing.mixed(*batch(), 1.0, SEED, weights)
    expected = labels["logits"].numpy() @ np.arange(1.0, BATCH + 1)
    np.testing.assert_allclose(found["logits"], expected, atol=1e-5)
    assert set(inputs) == {"rgb", "flow"}


def test_every_video_is_a_partner_once():
    _, labels = mixing.mixed(*batch(), 1.0, SEED)
    shares = labels["logits"].numpy()
    own = np.diag(shares)
    given = (shares - np.diag(own) > 0).sum(0)
    assert given.max() <= 1


def test_no_motion_and_opposite_motions_stay_so():
    draws = np.random.default_rng(0)
    codes = draws.integers(1, 256, (BATCH, 2, 4, 4, 2), dtype=np.uint8)
    labels = {"logits": tf.one_hot(np.arange(BATCH), BATCH)}
    for values in (np.full_like(codes, 128), codes):
        opposite = (256 - values.astype(int)).astype(np.uint8)
        one, other = (
            mixing.mixed({"flow": tf.constant(v)}, labels, 0.4, SEED)[0]["flow"].numpy()
            for v in (values, opposite)
        )
        np.testing.assert_array_equal(256 - one.astype(int), other)


def test_alpha_zero_leaves_all_as_it_is():
    inputs, labels = batch()
    found = mixing.mixed(inputs, labels, 0.0, SEED)
    assert found[0] is inputs
    assert found[1] is labels
    data = tf.data.Dataset.from_tensors((inputs, labels))
    assert mixing.mixed_batches(data, 0.0, 0, 0) is data


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_have_the_moments_of_the_beta_distribution(alpha):
    shares = mixing.draw_shares(20_000, alpha, SEED).numpy()
    assert shares.min() >= 0.0
    assert shares.max() <= 1.0
    np.testing.assert_allclose(shares.mean(), 0.5, atol=0.01)
    np.testing.assert_allclose(shares.var(), 1 / (4 * (2 * alpha + 1)), rtol=0.05)


def test_tiny_alphas_do_not_underflow():
    """Two gammas of 1e-4 are both 0 in floats: 0 / 0."""
    shares = mixing.draw_shares(1000, 1e-4, SEED).numpy()
    assert np.isfinite(shares).all()
    assert 0.4 < (shares > 0.5).mean() < 0.6


def test_class_numbers_are_refused():
    with pytest.raises(ValueError, match=r"one-hot.*Received: int64 for 'logits'"):
        mixing.mixed(batch()[0], {"logits": tf.range(6, dtype=tf.int64)}, 0.2, SEED)


def test_batches_of_an_epoch_are_fixed_by_seed_and_epoch():
    inputs, labels = batch()
    data = tf.data.Dataset.from_tensors((inputs, labels)).repeat(3)

    def shares(seed, epoch):
        blended = mixing.mixed_batches(data, 0.5, seed, epoch)
        return np.stack([one_hot["logits"] for _, one_hot in blended])

    first = shares(0, 0)
    np.testing.assert_array_equal(first, shares(0, 0))
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first, shares(0, 1))
    assert not np.array_equal(first, shares(1, 0))
    assert mixing.mixed_batches(data, 0.5, 0, 0).element_spec[0]["rgb"].shape[1:] == (
        SEGMENTS, 8, 8, 3,
    )  # fmt: skip


def test_a_third_element_goes_through_the_dataset():
    inputs, labels = batch()
    weights = {"logits": tf.ones(BATCH)}
    data = tf.data.Dataset.from_tensors((inputs, labels, weights))
    (found,) = mixing.mixed_batches(data, 0.5, 0, 0)
    np.testing.assert_allclose(found[2]["logits"], 1.0, atol=1e-6)
