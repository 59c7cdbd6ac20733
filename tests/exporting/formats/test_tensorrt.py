"""TensorRT: the files it is given, the command it equals, the runtime's bookkeeping.

No test here runs an engine, which needs an NVIDIA card; where TensorRT-RTX is
installed, it parses the files and builds an engine for a card that is absent.
"""

import importlib
import json
import shutil
import types

import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.exporting.formats import tensorrt
from stfn_keras.files import sha256
from stfn_keras.serving.runtimes import tensorrt as runtimes

onnx = pytest.importorskip("onnx", reason="the extra [onnx]")
ort = pytest.importorskip("onnxruntime", reason="the extra [onnx]")


@pytest.fixture(scope="module")
def typed(onnx_file, saved, tmp_path_factory):
    """The network's ONNX file in each precision."""
    from stfn_keras.exporting.formats.half import lowered
    from stfn_keras.exporting.formats.quantised import quantise

    folder = tmp_path_factory.mktemp("typed")
    files = {name: folder / f"{name}.onnx" for name in ("fp16", "bf16", "int8")}
    for name in ("fp16", "bf16"):
        onnx.save(lowered(onnx.load(onnx_file), name), files[name])
    samples = ({s: v[i : i + 1] for s, v in saved.views.items()} for i in range(3))
    quantise(onnx_file, files["int8"], samples)
    return {"fp32": onnx_file, **files}


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 5e-3), ("int8", 0.05)])
def test_lower_precision_has_the_networks_scores(saved, typed, precision, tolerance):
    onnx.checker.check_model(str(typed[precision]), full_check=True)
    session = ort.InferenceSession(typed[precision], providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], saved.views)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, saved.found["scores"], atol=tolerance)
    assert np.abs(scores - saved.found["scores"]).max() > 1e-7


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_from_the_first_convolution_to_the_last_product_in_half(typed, precision):
    model = onnx.load(typed[precision])
    kinds = {weight.name: weight.data_type for weight in model.graph.initializer}
    half = onnx.TensorProto.FLOAT16 if precision == "fp16" else (
        onnx.TensorProto.BFLOAT16)  # fmt: skip
    for node in model.graph.node:
        if node.op_type in ("Conv", "MatMul", "Gemm"):
            assert all(kinds.get(name, half) == half for name in node.input)
        if node.op_type == "Softmax":
            assert not node.input[0].endswith(precision)
    assert typed[precision].stat().st_size < 0.7 * typed["fp32"].stat().st_size


def test_a_weight_beyond_fp16_is_refused(onnx_file):
    from stfn_keras.exporting.formats.half import lowered

    model = onnx.load(onnx_file)
    for weight in model.graph.initializer:
        array = onnx.numpy_helper.to_array(weight)
        if array.dtype == np.float32 and array.ndim == 4:
            large = onnx.numpy_helper.from_array(array * 1e6, weight.name)
            weight.CopyFrom(large)
    with pytest.raises(UserError, match="fp16 holds up to 65504.*try bf16"):
        lowered(model, "fp16")
    lowered(model, "bf16")


def test_the_line_for_trtexec(onnx_file):
    inputs = tensorrt.onnx_inputs(onnx_file)
    assert list(inputs.items()) == [("flow", (3, 32, 32, 4)), ("rgb", (3, 16, 16, 3))]
    line = tensorrt.trtexec("it's.onnx", "x.engine", inputs, tensorrt.Batches(1, 2, 8))
    assert line.split()[0] == "trtexec"
    assert "--minShapes=flow:1x3x32x32x4,rgb:1x3x16x16x3" in line
    assert "--optShapes=flow:2x3x32x32x4,rgb:2x3x16x16x3" in line
    assert "--maxShapes=flow:8x3x32x32x4,rgb:8x3x16x16x3" in line
    assert """'--onnx=it'"'"'s.onnx'""" in line
    with pytest.raises(UserError, match="--opt_batch must be between 1"):
        tensorrt.Batches(1, 9, 8)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
def test_tensorrt_rtx_parses_and_builds(typed, tmp_path, precision):
    trt = pytest.importorskip(
        "tensorrt_rtx_bindings", reason="the extra [tensorrt-rtx]"
    )
    engine = tmp_path / "small.engine"
    batches = tensorrt.Batches(1, 2, 4)
    tensorrt.build(trt, typed[precision], engine, batches, target="SM89")
    assert engine.stat().st_size > 10_000


@pytest.fixture
def command(exported, onnx_file, tmp_path, monkeypatch):
    """Run the command dry on a model that holds an ONNX file; gives its folder."""
    from stfn_keras.commands import tensorrt as building

    version = tmp_path / "models" / "stfn" / "1"
    shutil.copytree(exported, version)
    (version / "formats").mkdir()
    shutil.copy(onnx_file, version / "formats" / "model.onnx")
    state = version / "assets.extra" / "config.json"
    config = json.loads(state.read_text())
    config["sha256"]["formats/model.onnx"] = sha256(onnx_file)
    state.write_text(json.dumps(config))

    def run(out, precision="fp16"):
        values = types.SimpleNamespace(
            model=str(version.parent), out=str(out), max_batch=4, opt_batch=0,
            precision=precision, target="", dry_run=True, run="", data="",
        )  # fmt: skip
        monkeypatch.setattr(building.absl_flags, "FLAGS", values)
        building.main([])

    run.version = version
    return run


def test_the_prepared_file_is_named_by_its_precision(command, tmp_path, capsys):
    theirs = tmp_path / "stfn.onnx"
    theirs.write_text("mine")
    for _ in range(2):  # what a dry run wrote, the next one replaces
        command(tmp_path / "stfn.engine")
    assert "--onnx=" + str(tmp_path / "stfn.fp16.onnx") in capsys.readouterr().out
    onnx.checker.check_model(str(tmp_path / "stfn.fp16.onnx"))
    assert theirs.read_text() == "mine"


@pytest.mark.parametrize("name", ["1/formats/model.engine", "1/x/y.engine", "x.engine"])
def test_no_engine_is_written_into_an_exported_model(command, name):
    before = {p: sha256(p) for p in command.version.rglob("*") if p.is_file()}
    with pytest.raises(UserError, match="must lie outside of exported models"):
        command(command.version.parent / name)
    assert before == {p: sha256(p) for p in command.version.rglob("*") if p.is_file()}
    assert [p.name for p in command.version.parent.iterdir()] == ["1"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("x.fp16.onnx", "x.fp16.onnx, which no build"), ("x.engine", "must be a new fi")],
)
def test_files_of_others_are_not_written_over(command, tmp_path, name, message):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=message):
        command(tmp_path / "x.engine")
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["x.plan", "x.onnx", "x"])
def test_an_engine_that_no_runtime_would_open_is_not_built(command, tmp_path, name):
    with pytest.raises(UserError, match=r"--out must be named NAME\.engine"):
        command(tmp_path / name)


def test_a_damaged_onnx_file_is_not_built_from(command, tmp_path):
    with (command.version / "formats" / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match=r"model\.onnx is missing or damaged"):
        command(tmp_path / "x.engine")


def test_an_absent_tensorrt_is_named(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(UserError, match=r"install '.\[tensorrt\]'.*\[tensorrt-rtx\]"):
        runtimes.find_tensorrt()


class StandInCard:
    """Memory and an engine that gives the mean of each video's pixels."""

    def __init__(self):
        self.memory, self.shapes, self.runs = {}, {}, []
        self.cudaMemcpyKind = types.SimpleNamespace(
            cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2
        )

    def cudaStreamCreate(self):
        return 0, 7

    def cudaMalloc(self, size):
        self.memory[len(self.memory) + 1] = np.zeros(size, np.uint8)
        return 0, len(self.memory)

    def cudaMemcpyAsync(self, to, source, size, kind, stream):
        import ctypes

        if kind == 1:
            ctypes.memmove(self.memory[to].ctypes.data, source, size)
        else:
            ctypes.memmove(to, self.memory[source].ctypes.data, size)
        return (0,)

    def cudaStreamSynchronize(self, stream):
        return (0,)

    cudaFree = cudaStreamDestroy = cudaStreamSynchronize

    # The engine and its context.
    num_io_tensors = 3

    def get_tensor_name(self, number):
        return ("rgb", "scores", "logits")[number]

    def get_tensor_profile_shape(self, name, profile):
        return [(size, 1, 2, 2, 3) for size in (1, 2, 2)]

    def get_tensor_shape(self, name):
        return (-1, 4)

    def create_execution_context(self):
        return self

    def set_tensor_address(self, name, address):
        self.shapes[name] = address

    def set_input_shape(self, name, shape):
        self.count = shape[0]

    def execute_async_v3(self, stream):
        self.runs.append(self.count)
        pixels = self.memory[self.shapes["rgb"]][: self.count * 12]
        means = pixels.reshape(self.count, 12).mean(axis=1, dtype=np.float32)
        for key in ("scores", "logits"):
            rows = self.memory[self.shapes[key]].view(np.float32).reshape(-1, 4)
            rows[: self.count] = means[:, None]
        return True


def test_a_batch_above_the_engines_is_run_in_parts(monkeypatch, tmp_path):
    """On a stand-in for the card: only the bookkeeping is under test."""
    card = StandInCard()
    deserialised = types.SimpleNamespace(deserialize_cuda_engine=lambda _: card)
    trt = types.SimpleNamespace(
        Runtime=lambda _: deserialised,
        Logger=type("Logger", (), {"ERROR": 1, "__init__": lambda *_: None}),
    )
    monkeypatch.setattr(runtimes, "find_tensorrt", lambda: trt)
    monkeypatch.setattr(runtimes, "_find_cuda", lambda: card)
    (tmp_path / "x.engine").write_bytes(b"engine")
    runtime = runtimes.TensorRTRuntime(tmp_path / "x.engine")
    assert (runtime.inputs, runtime.segments) == ({"rgb": (1, 2, 2, 3)}, 1)
    views = np.arange(60, dtype=np.uint8).reshape(5, 1, 2, 2, 3)
    found = runtime.predict({"rgb": views})
    assert card.runs == [2, 2, 1]
    assert found["scores"].shape == (5, 4)
    means = views.reshape(5, -1).mean(axis=1)
    np.testing.assert_allclose(found["logits"][:, 0], means)


def test_an_engine_is_opened_by_its_path(saved, tmp_path, monkeypatch):
    from stfn_keras.serving.runtimes import open as opening

    monkeypatch.setattr(opening, "read_config", lambda _: {})
    with pytest.raises(UserError, match="absent.engine, no such file"):
        opening.open_runtime(saved.folder, str(tmp_path / "absent.engine"))
