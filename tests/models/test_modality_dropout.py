"""One stream of a video goes, whole, in training alone."""

import keras
import numpy as np
import pytest

from stfn_keras.models import ModalityDropout

ONES = np.ones((400, 3, 4), "float32")


def test_identity_at_inference():
    rgb, flow = ModalityDropout(1.0)([ONES, 2 * ONES], training=False)
    np.testing.assert_array_equal(rgb, ONES)
    np.testing.assert_array_equal(flow, 2 * ONES)


@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_exactly_one_stream_of_a_video_goes_whole(rate):
    layer = ModalityDropout(rate, seed=1)
    rgb, flow = map(np.array, layer([ONES, 2 * ONES], training=True))
    kept = []
    for stream, value in ((rgb, 1), (flow, 2)):
        whole = stream.reshape(400, -1)
        assert np.all(whole == whole[:, :1])  # no segment or channel alone
        assert set(np.unique(whole)) <= {0.0, float(value)}  # and nothing scaled
        kept.append(whole[:, 0] > 0)
    assert not np.any(~kept[0] & ~kept[1])
    # Standard deviations of the shares: 0.025 of all, and of each stream.
    assert np.mean(~kept[0] | ~kept[1]) == pytest.approx(rate, abs=0.1)
    assert np.mean(~kept[0]) == pytest.approx(rate / 2, abs=0.1)


def test_draws_follow_a_state_that_training_can_set():
    """As with Keras' dropout: the loop sets every `seed_generator_state`."""
    inputs = [keras.Input((3, 4)), keras.Input((3, 4))]
    model = keras.Model(inputs, ModalityDropout(0.5)(inputs))
    (state,) = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    draws = []
    for epoch in (1, 2, 1):
        state.assign([7, epoch])
        rgb, _ = model([ONES, ONES], training=True)
        draws.append(np.array(rgb))
    np.testing.assert_array_equal(draws[0], draws[2])
    assert np.any(draws[0] != draws[1])
    assert np.any(np.array(model([ONES, ONES], training=True)[0]) != draws[2])


def test_config_and_bad_arguments():
    config = ModalityDropout(0.25, seed=3).get_config()
    assert ModalityDropout.from_config(config).get_config() == config
    with pytest.raises(ValueError, match="0 to 1. Received: 1.5"):
        ModalityDropout(1.5)
