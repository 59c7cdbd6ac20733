"""Starting from another run: every layer taken or named as new, nothing by chance."""

import csv
import dataclasses

import numpy as np
import pytest
from absl import logging
from conftest import small_model, small_training

from stfn_keras import models
from stfn_keras.data.manifest import Manifest
from stfn_keras.errors import UserError
from stfn_keras.evaluation.scoring import trained_network
from stfn_keras.models.weights import leaves
from stfn_keras.training import stages
from stfn_keras.training.initial import Initial
from stfn_keras.training.publishing import publish
from stfn_keras.training.run import Run


def opened_for(source, dataset, labels=("left", "right"), model=None, **changes):
    manifest = dataclasses.replace(Manifest.load(dataset), labels=labels)
    training = small_training(**changes)
    return Initial.open(source, model or small_model(), training, manifest)


def run_of(dataset, labels=("left", "right"), model=None):
    """A run's settings, for the networks of its stages."""
    manifest = Manifest.load(dataset)
    return Run(
        folder=None, data="", data_digest="", labels=labels,
        preprocessing=manifest.preprocessing, model=model or small_model(),
        training=small_training(),
    )  # fmt: skip


def same(target, source, name) -> bool:
    found = [leaves(m.get_layer(name), name) for m in (target, source)]
    return all(
        np.array_equal(a, b)
        for path in found[0]
        for a, b in zip(*(f[path].get_weights() for f in found), strict=True)
    )


@pytest.fixture(scope="module")
def source(trained):
    return trained_network(trained)


def test_towers_and_head_start_as_the_source(trained, dataset, source):
    initial = opened_for(trained.folder, dataset)
    run = run_of(dataset)
    for stream in ("rgb", "flow"):
        network = stages.tower_network(run, stream)
        starts = initial.apply(network, stream)
        assert {s.origin for s in starts} == {"taken"}
        assert same(network, source, f"{stream}_features")
        assert same(network, source, f"{stream}_logits")
    head = stages.fusion_network(run)
    names = {s.layer for s in initial.apply(head, "fusion")}
    assert names == {"rgb_dynamics", "flow_dynamics", "fusion_1", "rgb_logits",
                     "flow_logits"}  # fmt: skip
    assert all(same(head, source, name) for name in names)


def test_a_whole_network_gives_the_sources_scores(trained, dataset, source):
    initial = opened_for(trained.folder, dataset)
    whole = models.build(small_model(), 2)
    initial.apply(whole, "end_to_end")
    for ours, theirs in zip(whole.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_archive_is_the_same_source_as_its_run(trained, dataset, source, tmp_path):
    path = publish(trained.folder, tmp_path / "stfn.zip").path
    initial = opened_for(path, dataset)
    assert initial.digest == opened_for(trained.folder, dataset).digest
    head = stages.fusion_network(run_of(dataset))
    initial.apply(head, "fusion")
    assert same(head, source, "fusion_1")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="damaged"):
        initial.apply(head, "fusion")


def test_other_classes_need_reset_head(trained, dataset):
    with pytest.raises(UserError, match="has 2 classes and the data have 3.*--reset_h"):
        opened_for(trained.folder, dataset, ("left", "right", "up"))
    with pytest.raises(UserError, match="'right' is in one only"):
        opened_for(trained.folder, dataset, ("left", "up"))


def test_reset_head_leaves_classifiers_new_and_takes_the_rest(trained, dataset, source):
    labels = ("up", "down", "left")
    initial = opened_for(trained.folder, dataset, labels, reset_head=True)
    head = stages.fusion_network(run_of(dataset, labels))
    before = head.get_layer("rgb_logits").get_weights()
    starts = {s.layer: s for s in initial.apply(head, "fusion")}
    new = {name for name, start in starts.items() if start.origin == "new"}
    assert new == {"rgb_logits", "flow_logits"}
    assert starts["rgb_logits"].shapes == ((128, 3), (3,))
    np.testing.assert_array_equal(head.get_layer("rgb_logits").get_weights()[0],
                                  before[0])  # fmt: skip
    assert same(head, source, "rgb_dynamics")


def test_reset_head_with_the_same_classes_is_new_too(trained, dataset, source):
    initial = opened_for(trained.folder, dataset, reset_head=True)
    network = stages.tower_network(run_of(dataset), "rgb")
    initial.apply(network, "rgb")
    assert same(network, source, "rgb_features")
    assert not same(network, source, "rgb_logits")


def test_classes_in_another_order_are_sorted_by_name(trained, dataset, source):
    """Guards classifiers that are taken by position, and so name the wrong class."""
    initial = opened_for(trained.folder, dataset, ("right", "left"))
    whole = models.build(small_model(), 2)
    starts = {s.layer: s.origin for s in initial.apply(whole, "end_to_end")}
    assert starts["rgb_logits"] == "taken, classes sorted anew"
    draws = np.random.default_rng(0)
    inputs = {
        "rgb": draws.integers(0, 256, (2, 3, 16, 16, 3)).astype("uint8"),
        "flow": draws.integers(1, 256, (2, 3, 16, 16, 4)).astype("uint8"),
    }
    ours, theirs = (np.asarray(m(inputs)["logits"]) for m in (whole, source))
    np.testing.assert_allclose(ours, theirs[:, ::-1], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"width": 8}, "other shapes in layer rgb_dynamics"),
        ({"blocks": 2}, "no layer fusion_2"),
        ({"network": "feature_fusion"}, "no layer fused_logits"),
        ({"pairs": 3}, "trained with --pairs=2, and this run has --pairs=3"),
        ({"tower": "mobilenet_v2", "rgb_size": 32}, "--tower=tiny"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(trained, dataset, changes, match):
    with pytest.raises(UserError, match=match):
        opened_for(trained.folder, dataset, model=small_model(**changes))


def test_no_weight_is_set_where_one_does_not_fit(trained, dataset):
    initial = opened_for(trained.folder, dataset)
    network = models.build(small_model(blocks=2), 2)
    before = network.get_weights()
    with pytest.raises(UserError, match="no layer fusion_2"):
        initial.apply(network, "end_to_end")
    assert all(map(np.array_equal, network.get_weights(), before))


def test_a_source_of_one_stream(trained, dataset, tmp_path):
    from stfn_keras.training.train import train

    spatial = small_model(network="spatial")
    run = train(dataset, tmp_path / "s", spatial, small_training(stages=("rgb",)),
                towers_from=trained.folder)  # fmt: skip
    with pytest.raises(UserError, match="has no flow tower"):
        opened_for(run.folder, dataset)
    assert opened_for(run.folder, dataset, model=spatial)


def test_a_source_without_a_fusion_part_gives_its_towers(trained, dataset, tmp_path):
    from stfn_keras.training.train import train

    run = train(dataset, tmp_path / "late", small_model(network="late_fusion"),
                small_training(stages=("rgb", "flow")),
                towers_from=trained.folder)  # fmt: skip
    initial = opened_for(run.folder, dataset)
    head = stages.fusion_network(run_of(dataset))
    assert {s.origin for s in initial.apply(head, "fusion")} == {"new"}
    network = stages.tower_network(run_of(dataset), "flow")
    assert {s.origin for s in initial.apply(network, "flow")} == {"taken"}


def test_feature_fusion_starts_from_feature_fusion(trained, dataset, tmp_path):
    """Its assembled network has no classifier of a tower, which its stages train."""
    from stfn_keras.training.train import train

    model = small_model(network="feature_fusion")
    run = train(dataset, tmp_path / "f", model, small_training(stages=("fusion",)),
                towers_from=trained.folder)  # fmt: skip
    initial = opened_for(run.folder, dataset, model=model)
    network = stages.tower_network(run_of(dataset, model=model), "rgb")
    new = {s.layer for s in initial.apply(network, "rgb") if s.origin == "new"}
    assert new == {"rgb_logits"}
    head = stages.fusion_network(run_of(dataset, model=model))
    assert {s.origin for s in initial.apply(head, "fusion")} == {"taken"}


def test_every_layer_is_logged(trained, dataset, tmp_path, caplog):
    initial = opened_for(trained.folder, dataset, reset_head=True)
    network = stages.tower_network(run_of(dataset), "rgb")
    before = logging.get_verbosity()
    logging.set_verbosity(logging.INFO)
    try:
        with caplog.at_level("INFO"):
            starts = initial.apply(network, "rgb", tmp_path)
    finally:
        logging.set_verbosity(before)
    with (tmp_path / "init_from" / "rgb.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["layer"] for row in rows] == [start.layer for start in starts]
    weighted = [layer for layer in network.layers if layer.weights]
    assert len(rows) > len(weighted)  # the tower's own layers, not the tower alone
    assert rows[-1] == {"layer": "rgb_logits", "shapes": "128x2 2", "origin": "new"}
    for start in starts:
        assert f"rgb: {start.layer} " in caplog.text
    assert "1 start new: rgb_logits" in caplog.text


def test_another_flow_preset_is_said(trained, dataset, caplog):
    manifest = Manifest.load(dataset)
    flow = {"tvl1": {**manifest.flow["dis"], "preset": "tvl1"}}
    manifest = dataclasses.replace(manifest, flow=flow)
    Initial.open(trained.folder, small_model(), small_training(), manifest)
    assert "trained on flow with preset dis, and these data have tvl1" in caplog.text


def test_an_unfinished_run_is_refused(trained, dataset, tmp_path):
    (tmp_path / "config.json").write_bytes(
        (trained.folder / "config.json").read_bytes()
    )
    with pytest.raises(UserError, match="no finished network"):
        opened_for(tmp_path, dataset)
