"""Why it decided so: maps that are not blank and depend on the class; contributions."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import small_model
from PIL import Image

from stfn_keras import models
from stfn_keras.config import ModelConfig
from stfn_keras.errors import UserError
from stfn_keras.evaluation import explaining, named
from stfn_keras.evaluation.evaluate import evaluate
from stfn_keras.evaluation.explaining import explain_videos, file_stem, wrong_videos
from stfn_keras.evaluation.explanation import Explainer, _pooled_maps
from stfn_keras.evaluation.heat import overlaid
from stfn_keras.evaluation.scoring import trained_network


def views(model: ModelConfig, seed: int = 0) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(seed)
    shape = (model.segments, model.rgb_size, model.rgb_size)
    channels = {"rgb": 3, "flow": 2 * model.pairs}
    return {
        stream: draws.integers(0, 256, (*shape, channels[stream])).astype(np.uint8)
        for stream in model.streams
    }


@pytest.fixture(scope="module")
def explainer(trained):
    return Explainer(trained_network(trained), trained.model)


def test_maps_are_neither_blank_nor_the_same_for_every_class(explainer, trained):
    seen = views(trained.model)
    one, other = (explainer.explain(seen, target) for target in (0, 1))
    for stream in ("rgb", "flow"):
        assert one.maps[stream].shape == (3, 16, 16)
        largest = max(one.maps[stream].max(), other.maps[stream].max())
        assert largest == pytest.approx(1.0)
        assert not np.allclose(one.maps[stream], other.maps[stream], atol=0.05)
        assert min(one.maps[stream].min(), other.maps[stream].min()) >= 0


def test_it_explains_the_winning_class_with_the_networks_own_scores(explainer, trained):
    seen = views(trained.model)
    network = trained_network(trained)
    expected = network.predict_on_batch({k: v[None] for k, v in seen.items()})
    found = explainer.explain(seen)
    assert found.target == expected["scores"][0].argmax()
    np.testing.assert_allclose(found.logits, expected["logits"][0], atol=1e-5)
    assert found.score == pytest.approx(expected["scores"][0].max(), abs=1e-6)


def test_grad_cam_of_a_tower_and_a_linear_classifier_is_its_class_activation_map():
    model = small_model(network="spatial", rgb_size=32)
    network = models.build(model, 4)
    seen = views(model, 1)
    found = Explainer(network, model).explain(seen)
    tower = network.get_layer("rgb_features").layer
    maps = keras.Model(tower.inputs[0], _pooled_maps(tower))(seen["rgb"]).numpy()
    kernel = network.get_layer("rgb_logits").kernel.numpy()[:, found.target]
    heat = np.maximum(maps @ kernel, 0)  # (T, 2, 2)
    assert heat.max() > 0
    corners = found.maps["rgb"][:, ::31, ::31]
    np.testing.assert_allclose(corners, heat / heat.max(), atol=1e-5)


def test_a_segments_contribution_is_what_the_logit_loses_without_it():
    model = small_model(network="late_fusion", flow_weight=1.0)
    network = models.build(model, 4)
    seen = views(model, 2)
    found = Explainer(network, model).explain(seen, 1)
    for stream in ("rgb", "flow"):
        tower = network.get_layer(f"{stream}_features").layer
        features = tower(seen[stream]).numpy()
        kernel = network.get_layer(f"{stream}_logits").kernel.numpy()[:, 1]
        for segment in range(3):
            others = np.delete(features, segment, axis=0).mean(axis=0)
            lost = (features.mean(axis=0) - others) @ kernel / 2  # mean of two streams
            assert found.contributions[stream][segment] == pytest.approx(lost, abs=1e-5)
    np.testing.assert_allclose(
        found.contributions["both"],
        found.contributions["rgb"] + found.contributions["flow"],
        atol=1e-5,
    )


def test_a_single_segment_contributes_against_no_features():
    model = small_model(network="spatial", segments=1)
    network = models.build(model, 4)
    found = Explainer(network, model).explain(views(model), 3)
    bias = network.get_layer("rgb_logits").bias.numpy()[3]
    assert found.contributions["rgb"][0] == pytest.approx(
        found.logits[3] - bias, abs=1e-5
    )


@pytest.mark.parametrize("tower", ["efficientnet_lite0", "convnext_tiny"])
def test_the_layer_is_the_last_one_with_places_whatever_the_tower(tower):
    built = models.build_tower(ModelConfig(tower=tower, rgb_size=64), "rgb")
    assert _pooled_maps(built).shape[1:3] == (2, 2)


def test_cold_places_leave_the_picture_as_it_is():
    picture = np.full((4, 4, 3), 77, np.uint8)
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0] = 1
    shown = overlaid(picture, heat)
    assert (shown[1:] == 77).all()
    assert (shown[0, 0] != 77).any()


def test_pictures_reach_the_report_and_its_page(trained, tmp_path):
    report = tmp_path / "report"
    evaluate(trained, report=report)
    table = pd.read_csv(report / "predictions.csv")
    name = table["video_id"][0]
    tables = explain_videos(trained, [name], report, of="label")
    ((title, rows),) = tables.items()
    label = table["label"][0]
    assert title.startswith(f"{name}: taken for ")
    assert f", is {label}; why not {label} (" in title or title.endswith(", rightly")
    assert list(rows["segment"]) == [1, 2, 3]
    stem = file_stem(f"{name}_as_{label}")
    with Image.open(report / "heat" / f"{stem}.gif") as animation:
        assert animation.n_frames == 3
    for suffix in (".png", ".csv", ".json"):
        assert (report / "heat" / (stem + suffix)).stat().st_size > 50
    assert f"<figcaption>{title}</figcaption>" in (report / "index.html").read_text()


def test_the_surest_mistakes_come_first_and_only_of_these_weights(trained, tmp_path):
    report = tmp_path / "report"
    evaluate(trained, report=report)
    table = pd.read_csv(report / "predictions.csv")
    table["right"] = [False, True, False, False, True]
    table["score"] = [0.6, 0.9, 0.8, 0.7, 0.5]
    table.to_csv(report / "predictions.csv", index=False)
    assert wrong_videos(report, trained, 2) == list(table["video_id"][[2, 3]])
    metrics = report / "metrics.json"
    said = metrics.read_text().replace('"weights_digest": "', '"weights_digest": "0')
    metrics.write_text(said)
    with pytest.raises(UserError, match="other weights"):
        wrong_videos(report, trained, 2)
    with pytest.raises(UserError, match="other weights"):
        explain_videos(trained, [table["video_id"][0]], report)


def test_files_of_different_videos_have_different_names():
    names = ["a/b c.avi", "a_b_c.avi", "a/b/c.avi", "a b c.avi"]
    assert len({file_stem(name) for name in names}) == 4
    name = "v_Archery_g01_c01.avi_as_Biking"
    assert file_stem(name) == file_stem(name, "v_Archery_g01_c01.avi") == name
    assert len({file_stem(name, f"{f}/v_Archery_g01_c01.avi") for f in "ab"}) == 2


def test_a_video_file_is_seen_as_prediction_sees_it(small_clip, trained, tmp_path):
    """The preparation's own scores: a flow preset of another version is refused."""
    explain_videos(trained, [str(small_clip)], tmp_path)
    (picture,) = tmp_path.glob("heat/*.png")
    assert picture.name.startswith(f"{small_clip.stem}.")  # and not where it lies
    said = picture.with_suffix(".json").read_text()
    assert f'"{small_clip.name}: taken for ' in said
    field = {**trained.preprocessing["flow"]["dis"], "version": 0}
    other = dataclasses.replace(
        trained, preprocessing={**trained.preprocessing, "flow": {"dis": field}}
    )
    with pytest.raises(UserError, match="version = 0"):
        explain_videos(other, [str(small_clip)], tmp_path)


def test_names_are_looked_up_before_the_model_is_opened(
    small_clip, trained, tmp_path, monkeypatch
):
    """The docs' name without its folder was refused, and only after the model."""
    monkeypatch.setattr(explaining, "trained_network", None)
    with pytest.raises(UserError, match=r"such as \S.*, or video.*: nothing.avi"):
        explain_videos(trained, ["nothing.avi"], tmp_path)
    with pytest.raises(UserError, match="--of=label needs videos of the run's data"):
        explain_videos(trained, [str(small_clip)], tmp_path, of="label")
    assert not list(tmp_path.iterdir())


def test_the_last_part_of_an_id_names_a_video_if_no_other_ends_so(
    trained, tmp_path, monkeypatch
):
    ids = ["Archery/v_g01.avi", "Archery/v_g02.avi", "Biking/v_g02.avi", "v_g03.avi"]
    monkeypatch.setattr(named, "_ids", lambda *_: ids)
    file = tmp_path / "clip.avi"
    file.touch()
    found = named.named_videos(
        None, tmp_path, ["v_g03.avi", str(file), "v_g01.avi", "Archery/v_g01.avi"]
    )
    assert found == (["v_g03.avi", "Archery/v_g01.avi"], [str(file)])
    with pytest.raises(UserError, match=r"2 ids, such as Archery/v_g02.avi and Bik"):
        named.named_videos(None, tmp_path, ["v_g02.avi"])


def test_videos_are_told_in_the_order_of_their_names(trained, tmp_path):
    report = tmp_path / "report"
    evaluate(trained, report=report)
    names = list(pd.read_csv(report / "predictions.csv")["video_id"][[3, 0, 2]])
    titles = list(explain_videos(trained, names, report))
    assert [title.partition(": ")[0] for title in titles] == names


def test_what_cannot_be_explained_is_said(trained, tmp_path):
    with pytest.raises(UserError, match="run evaluate.py first"):
        wrong_videos(tmp_path, trained, 2)
    with pytest.raises(UserError, match=r"\(left, right\)\. Received: up"):
        explain_videos(trained, ["clip 12.avi"], tmp_path, of="up")
    file = tmp_path / "empty.avi"
    file.touch()
    with pytest.raises(UserError, match="cannot be used: empty"):
        explain_videos(trained, [str(file)], tmp_path)
