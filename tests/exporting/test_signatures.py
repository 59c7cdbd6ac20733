"""The served graph: four signatures that agree, and refusals that name the input."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from stfn_keras.evaluation.scores import softmax
from stfn_keras.exporting import guards
from stfn_keras.serving.runtimes.saved_model import SavedModelRuntime
from stfn_keras.video import image

DRAWS = np.random.default_rng(0)
FRAME = image.encode_rgb(DRAWS.integers(0, 256, (36, 48, 3)).astype(np.uint8))
MOSAIC = image.encode_flow(DRAWS.integers(1, 256, (2, 36, 48, 2)).astype(np.uint8))
OTHER = image.encode_rgb(np.zeros((40, 48, 3), np.uint8))
GOOD = {"rgb_jpeg": [[FRAME] * 3], "flow_jpeg": [[MOSAIC] * 3]}


@pytest.fixture(scope="module")
def runtime(exported):
    return SavedModelRuntime(exported / "saved_model.pb")


@pytest.fixture(scope="module")
def signatures(runtime):
    return runtime.signatures


def views(batch, segments=3):
    shape = (batch, segments, 16, 16)
    return {
        "rgb": DRAWS.integers(0, 256, (*shape, 3)).astype(np.uint8),
        "flow": DRAWS.integers(1, 256, (*shape, 4)).astype(np.uint8),
    }


def as_a_server(function, **inputs):
    """Call a signature as a server does, which checks no shape against it."""
    names = [tensor.name.split(":")[0] for tensor in function.inputs]
    given = [tf.constant(inputs[name]) for name in names if name in inputs]
    return function._call_flat(given, function.captured_inputs)


def test_names_types_and_shapes(signatures):
    seen = {
        name: {
            key: (spec.dtype.name, tuple(spec.shape))
            for key, spec in {
                **function.structured_input_signature[1],
                **function.structured_outputs,
            }.items()
        }
        for name, function in signatures.items()
    }
    scores = {"scores": ("float32", (None, 2)), "logits": ("float32", (None, 2))}
    features = {
        f"{stream}_features": ("float32", (None, 128)) for stream in ("rgb", "flow")
    }
    assert seen == {
        "serving_default": {
            "rgb": ("uint8", (None, 3, 16, 16, 3)),
            "flow": ("uint8", (None, 3, 16, 16, 4)),
            **scores,
        },
        "serve_jpeg": {
            "rgb_jpeg": ("string", (None, 3)),
            "flow_jpeg": ("string", (None, 3)),
            **scores,
            "labels": ("string", (None, 2)),
            "label_scores": ("float32", (None, 2)),
        },
        "features": {
            "rgb": ("uint8", (None, 16, 16, 3)),
            "flow": ("uint8", (None, 16, 16, 4)),
            **features,
        },
        "fuse": {
            name: (kind, (None, 3, size))
            for name, (kind, (_, size)) in features.items()
        }
        | scores,
    }


def test_features_then_fuse_is_the_whole_network(signatures):
    seen = views(2)
    expected = signatures["serving_default"](
        **{stream: tf.constant(view) for stream, view in seen.items()}
    )
    # A segment at a time, as a live stream computes them.
    segments = [
        signatures["features"](
            **{stream: tf.constant(view[:, t]) for stream, view in seen.items()}
        )
        for t in range(3)
    ]
    found = signatures["fuse"](
        **{name: tf.stack([s[name] for s in segments], axis=1) for name in segments[0]}
    )
    for name in ("scores", "logits"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def test_the_best_classes_come_first_with_their_scores(signatures):
    found = signatures["serve_jpeg"](
        **{name: tf.constant(value) for name, value in GOOD.items()}
    )
    scores = found["scores"].numpy()[0]
    order = np.argsort(-scores)
    labels = [label.decode() for label in found["labels"].numpy()[0]]
    assert labels == [("left", "right")[i] for i in order]
    np.testing.assert_array_equal(found["label_scores"][0], scores[order])
    np.testing.assert_allclose(scores, softmax(found["logits"].numpy()[0]), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        # Three videos of two segments would fold into two of three.
        ("", lambda good: views(3, segments=2), r"(rgb|flow) \[3,2,16,16,[34]\]"),
        ("flow", lambda good: {"flow": good["flow"][:1]}, "as many samples as"),
        ("rgb", lambda good: {"rgb": good["rgb"][0]}, r"rgb \[3,16,16,3\]"),
        ("flow", lambda good: {"flow": good["flow"][..., :2]}, "flow"),
        ("flow", lambda good: views(0), "at least one sample"),
    ],
)
def test_views_of_other_shapes_are_refused(signatures, name, changes, message):
    serve, good = signatures["serving_default"], views(2)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message) as caught:
        as_a_server(serve, **{**good, **changes(good)})
    assert name in str(caught.value)
    assert len(as_a_server(serve, **good)) == 2  # and the next one is answered


def test_features_that_are_no_numbers_are_refused(signatures):
    good = {f"{s}_features": np.ones((1, 3, 128), np.float32) for s in ("rgb", "flow")}
    bad = {**good, "flow_features": np.full((1, 3, 128), np.nan, np.float32)}
    with pytest.raises(tf.errors.InvalidArgumentError, match="flow_features: must be"):
        as_a_server(signatures["fuse"], **bad)
    as_a_server(signatures["fuse"], **good)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rgb_jpeg": [[FRAME, b"no image", FRAME]]}, "rgb_jpeg: expected JPEG"),
        ({"rgb_jpeg": [[FRAME, b"", FRAME]]}, "rgb_jpeg: expected JPEG"),
        ({"flow_jpeg": [[b"\x89PNG\r\n"] * 3]}, "flow_jpeg: expected JPEG"),
        ({"rgb_jpeg": [[FRAME, FRAME[:40], FRAME]]}, "rgb_jpeg"),  # half a header
        ({"rgb_jpeg": [[FRAME, FRAME[: len(FRAME) // 2], FRAME]]}, "rgb_jpeg"),
        ({"flow_jpeg": [[MOSAIC[: len(MOSAIC) // 2]] * 3]}, "flow_jpeg"),
        ({"rgb_jpeg": [[FRAME, OTHER, FRAME]]}, "rgb_jpeg: .* one size"),
        ({"flow_jpeg": [[FRAME] * 3]}, "flow_jpeg: expected mosaics of 2 rows"),
        ({"rgb_jpeg": [[FRAME] * 2]}, r"rgb_jpeg \[1,2\]"),
        ({"rgb_jpeg": [FRAME] * 3}, r"rgb_jpeg \[3\]"),
        ({"rgb_jpeg": [[FRAME] * 3] * 2}, "rgb_jpeg: expected as many samples"),
        ({"rgb_jpeg": np.zeros((0, 3), "S"), "flow_jpeg": np.zeros((0, 3), "S")},
         "flow_jpeg: expected at least one"),
        ({"flow_jpeg": [[MOSAIC + bytes(guards.MAX_BYTES), MOSAIC, MOSAIC]]},
         "flow_jpeg: expected at most 16777216 bytes"),
    ],
)  # fmt: skip
def test_bad_images_are_refused_by_name(signatures, changes, message):
    serve = signatures["serve_jpeg"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        as_a_server(serve, **{**GOOD, **changes})
    as_a_server(serve, **GOOD)


def test_an_image_is_refused_before_it_decodes_to_too_much(signatures):
    huge = tf.io.encode_jpeg(np.zeros((4097, 4097, 1), np.uint8), quality=1).numpy()
    assert len(huge) < guards.MAX_BYTES
    with pytest.raises(tf.errors.InvalidArgumentError, match="rgb_jpeg: .* pixels"):
        as_a_server(
            signatures["serve_jpeg"], **{**GOOD, "rgb_jpeg": [[FRAME, huge, FRAME]]}
        )


@pytest.mark.parametrize(
    ("limit", "least", "message"),
    [
        ("MAX_VIDEO_PIXELS", 3, "rgb_jpeg: .* pixels a video, all its images together"),
        ("MAX_REQUEST_PIXELS", 6, "rgb_jpeg: .* pixels a request, all its videos"),
    ],
)
def test_images_are_refused_that_are_too_much_together(
    monkeypatch, limit, least, message
):
    """Many large images are as much as one that is too large."""
    encoded = {"rgb_jpeg": tf.constant([[FRAME] * 3] * 2)}
    pixels = least * 36 * 48
    by_video = limit == "MAX_VIDEO_PIXELS"
    monkeypatch.setattr(guards, limit, {"rgb_jpeg": pixels} if by_video else pixels)
    guards.guarded_jpegs(encoded, pairs=0)
    pixels -= 1
    monkeypatch.setattr(guards, limit, {"rgb_jpeg": pixels} if by_video else pixels)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        guards.guarded_jpegs(encoded, pairs=0)


def test_a_video_is_refused_before_it_decodes_to_too_much(signatures):
    large = tf.io.encode_jpeg(np.zeros((3400, 3400, 1), np.uint8), quality=1).numpy()
    with pytest.raises(tf.errors.InvalidArgumentError, match="33554432 pixels a video"):
        as_a_server(signatures["serve_jpeg"], **{**GOOD, "rgb_jpeg": [[large] * 3]})


def test_one_video_is_decoded_after_the_other(exported):
    """So the memory of a request does not grow with its videos."""
    proto = SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    functions = proto.meta_graphs[0].graph_def.library.function
    loops = {
        function.signature.name: [
            node.attr["parallel_iterations"].i
            for node in function.node_def
            if "While" in node.op
        ]
        for function in functions
        if "centre_views" in function.signature.name
    }
    assert [found for found in loops.values() if found] == [[1]]


def test_the_graph_calls_no_python_and_reads_no_file(exported):
    """Whoever loads a model of ours runs arithmetic alone."""
    proto = SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    used = {node.op for node in graph.node}
    used |= {node.op for f in graph.library.function for node in f.node_def}
    forbidden = {"PyFunc", "EagerPyFunc", "PyFuncStateless", "ReadFile", "WriteFile",
                 "MatchingFiles", "LoadLibrary", "TFRecordReaderV2"}  # fmt: skip
    assert "DecodeJpeg" in used
    assert not used & forbidden
