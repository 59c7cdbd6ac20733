"""Which towers an experiment trains and takes, by the streams of its network."""

from conftest import small_model, small_training

from stfn_keras.config import TowerStageConfig
from stfn_keras.experiments.network import Recipe, check, scored
from stfn_keras.experiments.towers import Towers, towers_of, train_towers

SHORT = TowerStageConfig(epochs=1, batch=4, rate=1e-2, segments=2)
TRAINING = small_training(rgb=SHORT, flow_stage=SHORT)


def test_a_networks_own_streams_are_trained_and_scored(dataset, tmp_path):
    """Others than rgb and flow once died of a missing name in the first row."""
    model = small_model(
        network="tsn", modalities=("dynamic_flow", "rgb"), modality_weights=(2.0, 1.0)
    )
    (run,) = train_towers(dataset, tmp_path, model, TRAINING, (1,))
    assert run.training.stages == ("rgb", "dynamic_flow")
    towers = Towers.open(run, dataset)
    assert set(towers.digests) == {"rgb", "dynamic_flow"}
    recipe = Recipe(model, TRAINING, 0, "1x1")
    check(recipe, towers)
    found = scored(recipe, towers, tmp_path / "rows")
    assert set(found.scores.streams) == {"rgb_logits", "dynamic_flow_logits"}


def test_a_run_with_weights_of_its_streams_has_towers():
    """A weight for each of its streams does not fit both towers."""
    one = small_model(network="spatial", modality_weights=(1.0,))
    both = towers_of(one)
    assert both.streams == ("rgb", "flow")
    assert both.modality_weights == ()
