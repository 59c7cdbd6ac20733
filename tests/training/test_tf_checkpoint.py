"""Published checkpoints land where they should; what does not fit changes nothing."""

import csv
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from stfn_keras import models
from stfn_keras.config import ModelConfig, TrainingConfig
from stfn_keras.errors import UserError
from stfn_keras.models import build_tower, load_tower_variables, weighted_layers
from stfn_keras.training.stages import load_published
from stfn_keras.training.tf_checkpoint import is_checkpoint, read_checkpoint

SMALL = {"frames": 8, "pairs": 8, "rgb_size": 32}
I3D = ModelConfig(tower="i3d", network="i3d", segments=1, dropout=0.0, **SMALL)
SCOPES = {"rgb": "RGB/inception_i3d/", "flow": "Flow/inception_i3d/"}


def variables_of(stream, dims=3, classes=5, seed=0):
    """A checkpoint's variables by name, with random values."""
    config = I3D if dims == 3 else ModelConfig(tower="inception_v1", rgb_size=32)
    draws = np.random.default_rng(seed)
    scope = SCOPES[stream] if dims == 3 else "InceptionV1/"
    kernel, norm = (
        ("conv_3d/w", "batch_norm") if dims == 3 else ("weights", "BatchNorm")
    )
    found = {"global_step": np.int64(7)}
    for layer in weighted_layers(build_tower(config, stream)):
        name = layer.name.removesuffix("_bn")
        for branch in range(4):
            name = name.replace(f"_Branch_{branch}_", f"/Branch_{branch}/")
        for weight in layer.weights:
            end = kernel if weight.name == "kernel" else f"{norm}/{weight.name}"
            found[f"{scope}{name}/{end}"] = values(weight.name, weight.shape, draws)
    ones = (1,) * dims
    found[f"{scope}Logits/Conv{dims}d_0c_1x1/{kernel}"] = values(
        "kernel", (*ones, 1024, classes), draws
    )
    bias = "conv_3d/b" if dims == 3 else "biases"
    found[f"{scope}Logits/Conv{dims}d_0c_1x1/{bias}"] = values("b", (classes,), draws)
    return found


def values(name, shape, draws):
    if name == "moving_variance":
        return draws.uniform(0.5, 1.5, shape).astype("float32")
    scale = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.1
    return draws.normal(0, scale, shape).astype("float32")


def write(variables, prefix):
    """Write a checkpoint as TensorFlow 1 did, its variables by their plain names."""
    raw = tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=[tf.constant(x) for x in variables.values()],
    )  # fmt: skip
    assert raw is None
    return str(prefix)


def weights_of(model):
    return [np.array(weight) for weight in model.weights]


def test_i3d_lands_by_name(tmp_path):
    """Values are where their names say, in Keras' order, from a file."""
    variables = variables_of("rgb")
    source = write(variables, tmp_path / "model.ckpt")
    assert is_checkpoint(source)
    tower = build_tower(I3D, "rgb")
    left = load_tower_variables(tower, "rgb", read_checkpoint(source), source)
    assert [array.shape for array in left] == [(1024, 5), (5,)]
    scope = SCOPES["rgb"]
    for layer, name in {
        "Conv3d_1a_7x7": "Conv3d_1a_7x7",
        "Mixed_4c_Branch_1_Conv3d_0b_3x3": "Mixed_4c/Branch_1/Conv3d_0b_3x3",
        "Mixed_5b_Branch_2_Conv3d_0a_3x3": "Mixed_5b/Branch_2/Conv3d_0a_3x3",
        "Mixed_5c_Branch_3_Conv3d_0b_1x1": "Mixed_5c/Branch_3/Conv3d_0b_1x1",
    }.items():
        np.testing.assert_array_equal(
            tower.get_layer(layer).kernel, variables[f"{scope}{name}/conv_3d/w"]
        )
        norm = tower.get_layer(f"{layer}_bn")
        for kind in ("beta", "moving_mean", "moving_variance"):
            np.testing.assert_array_equal(
                getattr(norm, kind), variables[f"{scope}{name}/batch_norm/{kind}"]
            )


def test_statistics_of_five_dimensions():
    variables = variables_of("rgb")
    reshaped = {
        name: x.reshape(1, 1, 1, 1, -1) if "batch_norm" in name else x
        for name, x in variables.items()
    }
    towers = [build_tower(I3D, "rgb") for _ in range(2)]
    for tower, own in zip(towers, (variables, reshaped), strict=True):
        load_tower_variables(tower, "rgb", own, "x")
    assert all(map(np.array_equal, *map(weights_of, towers)))


def test_flow_takes_its_own_or_those_of_rgb():
    rgb, flow = variables_of("rgb"), variables_of("flow", seed=1)
    tower = build_tower(I3D, "flow")
    load_tower_variables(tower, "flow", flow, "x")
    first = tower.get_layer("Conv3d_1a_7x7").kernel
    name = "Conv3d_1a_7x7/conv_3d/w"
    np.testing.assert_array_equal(first, flow[SCOPES["flow"] + name])
    load_tower_variables(tower, "flow", rgb, "x")
    mean = rgb[SCOPES["rgb"] + name].mean(axis=3, keepdims=True)
    np.testing.assert_allclose(first, np.repeat(mean, 2, axis=3), rtol=1e-6)


def test_inception_of_images_is_inflated_or_taken_as_it_is():
    variables = variables_of("rgb", dims=2)
    kernel = variables["InceptionV1/Mixed_3b/Branch_1/Conv2d_0b_3x3/weights"]
    plain = build_tower(ModelConfig(tower="inception_v1", rgb_size=32), "rgb")
    load_tower_variables(plain, "rgb", variables, "x")
    layer = plain.get_layer("Mixed_3b_Branch_1_Conv2d_0b_3x3")
    np.testing.assert_array_equal(layer.kernel, kernel)
    tower = build_tower(I3D, "rgb")
    load_tower_variables(tower, "rgb", variables, "x")
    found = np.array(tower.get_layer("Mixed_3b_Branch_1_Conv3d_0b_3x3").kernel)
    for step in range(3):
        np.testing.assert_allclose(found[step], kernel / 3, rtol=1e-6)
    np.testing.assert_array_equal(
        tower.get_layer("Mixed_5c_Branch_0_Conv3d_0a_1x1_bn").moving_mean,
        variables["InceptionV1/Mixed_5c/Branch_0/Conv2d_0a_1x1/BatchNorm/moving_mean"],
    )


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda v: v.pop("RGB/inception_i3d/Conv3d_2c_3x3/batch_norm/beta"),
         "variables of.*Missing: Conv3d_2c_3x3/batch_norm/beta. Unknown: none"),
        (lambda v: v.update({"RGB/inception_i3d/Extra/conv_3d/w": np.zeros(3)}),
         "Unknown: Extra/conv_3d/w"),
        (lambda v: v.update({"RGB/inception_i3d/Conv3d_2b_1x1/conv_3d/w":
                             np.zeros((1, 1, 1, 64, 32), "float32")}),
         r"\(1, 1, 1, 64, 64\).*Conv3d_2b_1x1.*Received.*\(1, 1, 1, 64, 32\)"),
    ],
    ids=["missing", "unknown", "shape"],
)  # fmt: skip
def test_what_does_not_fit_changes_nothing(change, error):
    variables = variables_of("rgb")
    change(variables)
    tower = build_tower(I3D, "rgb")
    before = weights_of(tower)
    with pytest.raises(UserError, match=error):
        load_tower_variables(tower, "rgb", variables, "model.ckpt")
    assert all(map(np.array_equal, weights_of(tower), before))


def test_other_towers_and_checkpoints_are_refused():
    rgb, flow = variables_of("rgb"), variables_of("flow")
    images = build_tower(ModelConfig(tower="inception_v1", rgb_size=32), "rgb")
    for tower, variables, error in (
        (images, rgb, "weights of images.*Received: DeepMind's I3D.*--tower=i3d"),
        (build_tower(ModelConfig(tower="tiny"), "rgb"), variables_of("rgb", dims=2),
         "Missing: bn1/BatchNorm/beta.*Check --tower"),
        (build_tower(I3D, "rgb"), flow, r"7, 7, 7, 3, 64.*Received.*7, 7, 7, 2, 64"),
        (images, {"step": np.int64(1)}, "DeepMind's I3D or TF-slim.*Received: step"),
    ):  # fmt: skip
        before = weights_of(tower)
        with pytest.raises(UserError, match=error):
            load_tower_variables(tower, "rgb", variables, "model.ckpt")
        assert all(map(np.array_equal, weights_of(tower), before))


def test_the_whole_network_with_its_classifier():
    network = models.build(I3D, 5)
    own = {"rgb": variables_of("rgb"), "flow": variables_of("flow", seed=1)}
    models.load_kinetics(network, own)
    clips = {
        name: np.random.default_rng(0).integers(1, 256, (1, *x.shape[1:]), "uint8")
        for name, x in network.input.items()
    }
    outputs = network(clips)
    total = 0
    for stream, variables in own.items():
        tower = network.get_layer(f"{stream}_features").layer
        scaled = tower.get_layer("preprocess")(clips[stream][:, 0])
        behind = keras.Model(tower.get_layer("preprocess").output, tower.output)
        features = behind(scaled)  # as published samples are fed, -1 to 1
        end = f"{SCOPES[stream]}Logits/Conv3d_0c_1x1/conv_3d"
        kernel, bias = variables[f"{end}/w"][0, 0, 0], variables[f"{end}/b"]
        total = total + np.array(features) @ kernel + bias
    # DeepMind adds what is averaged here.
    np.testing.assert_allclose(2 * outputs["logits"], total, rtol=1e-4, atol=1e-4)

    before = weights_of(network)
    other = {**own, "flow": variables_of("flow", classes=4)}
    with pytest.raises(UserError, match=r"flow.*\(1024, 5\).*Received: .*\(1024, 4\)"):
        models.load_kinetics(network, other)
    assert all(map(np.array_equal, weights_of(network), before))


def test_which_tower_starts_from_what():
    training = TrainingConfig(rgb_weights="a.ckpt", flow_init="none")
    assert training.tower_weights("rgb") == "a.ckpt"
    assert training.tower_weights("flow") == "none"
    training = TrainingConfig(rgb_weights="a.ckpt", flow_weights="b.ckpt")
    assert training.tower_weights("flow") == "b.ckpt"
    assert training.tower_weights("dynamic_flow") == "a.ckpt"  # of other channels
    assert TrainingConfig().tower_weights("flow") == "imagenet"


def test_a_run_starts_its_towers_from_checkpoints(tmp_path, caplog):
    """Each tower from its own, and the log says what is left out."""
    run = SimpleNamespace(
        model=I3D,
        training=TrainingConfig(
            rgb_weights=write(variables_of("rgb"), tmp_path / "rgb.ckpt"),
            flow_weights=write(variables_of("flow"), tmp_path / "flow.ckpt"),
        ),
    )
    for stream in ("rgb", "flow"):
        tower = build_tower(I3D, stream)
        with caplog.at_level("INFO", logger="absl"):
            load_published(tower, stream, run)
        assert f"{stream}: the checkpoint's classifier of 5 classes is left" in (
            caplog.text
        )
        kernel = variables_of(stream)[f"{SCOPES[stream]}Conv3d_1a_7x7/conv_3d/w"]
        np.testing.assert_array_equal(tower.get_layer("Conv3d_1a_7x7").kernel, kernel)


def test_no_checkpoint(tmp_path):
    with pytest.raises(UserError, match="TensorFlow checkpoint.*none at: .*no.ckpt"):
        read_checkpoint(str(tmp_path / "no.ckpt"))
    (tmp_path / "bad.ckpt.index").write_bytes(b"no index")
    with pytest.raises(UserError, match="readable and whole.*bad.ckpt"):
        read_checkpoint(str(tmp_path / "bad.ckpt"))
    source = write({"a": np.zeros(9)}, tmp_path / "cut.ckpt")
    next(tmp_path.glob("cut.ckpt.data*")).write_bytes(b"")
    with pytest.raises(UserError, match="readable and whole.*cut.ckpt"):
        read_checkpoint(source)
    assert not is_checkpoint("resnet50.weights.h5")


@pytest.mark.real
@pytest.mark.parametrize("stream", SCOPES)
def test_all_of_the_published_names_have_their_place(stream, real_data, tmp_path):
    """230 of each stream: 228 of the tower, and the classifier's two."""
    draws, variables = np.random.default_rng(0), {}
    with open(real_data / "i3d_checkpoint_variables.tsv") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["checkpoint"] == f"{stream}_imagenet":
                shape = tuple(map(int, row["shape"].split("x")))
                variables[row["variable"]] = draws.random(shape, "float32")
    assert len(variables) == 230
    source = write(variables, tmp_path / "model.ckpt")
    tower = build_tower(I3D, stream)
    left = load_tower_variables(tower, stream, read_checkpoint(source), source)
    assert [array.shape for array in left] == [(1024, 400), (400,)]
    stored = {float(x.flat[0]): x for x in variables.values()}
    for weight in tower.weights:  # each value of its own, and in one place only
        array = np.array(weight)
        np.testing.assert_array_equal(array, stored.pop(float(array.flat[0])))
    assert len(stored) == 2
