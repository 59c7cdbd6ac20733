"""Two devices with synchronised batch normalisation compute what one computes."""

import pytest
from forked import run

from stfn_keras import models
from stfn_keras.config import ModelConfig

SCRIPT = """
import keras
import numpy as np
import tensorflow as tf

from stfn_keras import models
from stfn_keras.config import ModelConfig

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
config = ModelConfig(
    tower="tiny", segments=2, rgb_size=16, pairs=1, blocks=1, width=4, dropout=0.0
)
draws = np.random.default_rng(0)
# The halves of the batch differ: each one's own moments would be others.
light = np.array([60, 70, 180, 190])[:, None, None, None, None]
x = {
    "rgb": (light + draws.integers(-50, 50, (4, 2, 16, 16, 3))).astype("uint8"),
    "flow": (light + draws.integers(-50, 50, (4, 2, 16, 16, 2))).astype("uint8"),
}


def step(strategy, synchronised):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        network = models.build(config, classes=3)
    if synchronised:
        # Per tower 4; per stream a res-inception before and one in the block, 4 each.
        assert models.synchronize_batchnorm(network) == 2 * 4 + 4 * 4
    parts = strategy.num_replicas_in_sync

    @tf.function
    def run(batches):
        def replica(batch):
            with tf.GradientTape() as tape:
                logits = network(batch, training=True)["logits"]
                loss = tf.reduce_sum(tf.square(logits - 1.0))
            gradients = tape.gradient(loss, network.trainable_variables)
            context = tf.distribute.get_replica_context()
            return context.all_reduce("sum", [loss, *gradients])

        return strategy.run(replica, (batches,))

    def share(context):
        rows = slice(context.replica_id_in_sync_group * 4 // parts,
                     (context.replica_id_in_sync_group + 1) * 4 // parts)
        return {key: tf.constant(value[rows]) for key, value in x.items()}

    batches = strategy.experimental_distribute_values_from_function(share)
    values = [strategy.experimental_local_results(v)[0] for v in run(batches)]
    statistics = [np.array(v) for v in network.non_trainable_variables
                  if v.name.startswith("moving")]
    return [np.array(v) for v in values], statistics, network


def close(a, b):
    return all(np.allclose(x, y, rtol=1e-3, atol=1e-4) for x, y in zip(a, b))


one = tf.distribute.OneDeviceStrategy("/cpu:0")
two = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
values, statistics, _ = step(one, False)
assert len(statistics) == 2 * 24 and np.isfinite(values[0])
both_values, both_statistics, network = step(two, True)
assert abs(both_values[0] / values[0] - 1) < 1e-5, (both_values[0], values[0])
assert close(both_values, values), "gradients"
assert close(both_statistics, statistics), "moving statistics"
alone_values, alone_statistics, _ = step(two, False)
assert not close(alone_statistics, statistics), "the test would see a difference"
print("the same")
"""


@pytest.mark.slow
def test_two_devices_equal_one():
    done = run("-c", SCRIPT)
    assert done.returncode == 0, done.stderr
    assert "the same" in done.stdout


def test_switched_off_it_leaves_no_trace():
    """Guards files of a network that JAX would refuse."""
    network = models.build_head(ModelConfig(segments=2, blocks=1), 3, 8)
    before = [layer.get_config() for layer in network._flatten_layers(False)]
    assert models.synchronize_batchnorm(network) == 16
    assert network.get_layer("rgb_dynamics").normalizations[0].synchronized
    assert models.synchronize_batchnorm(network, on=False) == 16
    after = [layer.get_config() for layer in network._flatten_layers(False)]
    assert after == before
