"""Formats beside the SavedModel: published if they prove equal, else refused."""

import contextlib
import importlib.util
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from stfn_keras.commands import export as command
from stfn_keras.data import pipeline
from stfn_keras.errors import UserError
from stfn_keras.exporting import export as exporting
from stfn_keras.exporting import prove, table
from stfn_keras.exporting.export import export
from stfn_keras.exporting.options import ExportConfig
from stfn_keras.exporting.parity import Reference
from stfn_keras.files import sha256, write_json
from stfn_keras.serving.formats import FORMATS
from stfn_keras.serving.runtimes.open import open_runtime

KEYS = {"max_abs_diff", "top1_agreement", "accuracy", "bytes", "latency_ms", "passed"}
SOME = ("litert_dynamic", "litert_int8", "onnx")


@pytest.fixture(scope="module")
def published(trained, tmp_path_factory):
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    config = ExportConfig(formats=SOME, bench=True, max_drop=0.2, calibration_videos=4)
    return export(trained, tmp_path_factory.mktemp("f") / "stfn", config=config)


def parity_of(folder):
    return json.loads((folder / "assets.extra" / "parity.json").read_text())


def test_every_format_is_measured_on_the_whole_test_split(published):
    parity = parity_of(published)
    assert tuple(parity) == ("saved_model", *SOME)
    for name, row in parity.items():
        assert row["passed"], name
        assert row["videos"] == 5
        assert 0 <= row["top1_agreement"] <= 1
        assert 0 <= row["accuracy"] <= 1
        assert min(row["latency_ms"], row["latency_ms_batch_8"]) > 0
        if name != "saved_model":
            assert row["bytes"] == FORMATS[name].size(published)
    assert parity["onnx"]["max_abs_diff"] <= 1e-4
    assert parity["litert_int8"]["bytes"] < parity["onnx"]["bytes"] / 2


def test_every_file_has_its_digest(published):
    config = json.loads((published / "assets.extra" / "config.json").read_text())
    assert config["formats"] == ["saved_model", *SOME]
    files = {p.relative_to(published).as_posix(): p for p in published.rglob("*")}
    files = {name: path for name, path in files.items() if path.is_file()}
    del files["assets.extra/config.json"]
    assert config["sha256"] == {name: sha256(path) for name, path in files.items()}


def test_published_formats_open_and_agree(published):
    draws = np.random.default_rng(0)
    runtimes = [open_runtime(published, name) for name in ("tf", "onnx")]
    views = {
        stream: draws.integers(1, 256, (2, *shape)).astype(np.uint8)
        for stream, shape in runtimes[0].inputs.items()
    }
    ours, theirs = (runtime.predict(views) for runtime in runtimes)
    for key in ("scores", "logits"):
        np.testing.assert_allclose(ours[key], theirs[key], atol=1e-4)
    for runtime in runtimes:
        assert runtime.segments == 3
        with pytest.raises(
            UserError, match=r"rgb must be uint8 .* Received: uint8 \(3"
        ):
            runtime.predict({**views, "rgb": views["rgb"][0]})
        with pytest.raises(UserError, match="expected views of rgb and flow"):
            runtime.predict({"rgb": views["rgb"]})
        with pytest.raises(UserError, match="as many videos as each other"):
            runtime.predict({**views, "rgb": views["rgb"][:1]})


def test_a_format_that_was_not_published(exported):
    with pytest.raises(UserError, match="published as saved_model. Received: onnx"):
        open_runtime(exported, "onnx")
    with pytest.raises(UserError, match="must be one of"):
        open_runtime(exported, "coreml")


class Wrong:
    """A runtime whose scores are none of this network's."""

    inputs, segments, name = {"rgb": (3, 16, 16, 3), "flow": (3, 16, 16, 4)}, 3, "wrong"

    def predict(self, views):
        return {"scores": np.full((len(views["rgb"]), 2), 0.5, np.float32)}


@pytest.fixture
def failing(monkeypatch):
    """Every format fails in a way of its own."""

    def convert(name, folder, out, samples):
        for file in FORMATS[name].files:
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            (out / file).write_text("half")
        if name == "litert_float32":
            raise UserError("every operator must be built into LiteRT. Received: Erfc")
        if name == "litert_dynamic":
            raise RuntimeError("deep inside\nthe converter")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(prove.formats, "convert", convert)
    monkeypatch.setattr(prove, "load_runtime", lambda folder, name: Wrong())


def test_refused_formats_leave_a_reason_and_no_file(trained, tmp_path, failing):
    names = ("litert_float32", "litert_dynamic", "openvino")
    folder = export(trained, tmp_path / "m", config=ExportConfig(formats=names))
    parity = parity_of(folder)
    assert [name for name, row in parity.items() if not row["passed"]] == [*names]
    assert "Erfc" in parity["litert_float32"]["reason"]
    assert parity["litert_dynamic"]["reason"] == "RuntimeError: deep inside"
    assert "must be within 0.0001" in parity["openvino"]["reason"]
    assert not (folder / "formats").exists()
    for row in parity.values():  # who reads the file finds every key
        assert KEYS <= set(row)
    for name in names:
        assert parity[name]["latency_ms"] is None
    for name in names[:2]:
        assert [parity[name][key] for key in sorted(KEYS - {"passed"})] == [None] * 5
    assert parity["openvino"]["max_abs_diff"] > 1e-4
    assert parity["openvino"]["bytes"] == 8
    config = json.loads((folder / "assets.extra" / "config.json").read_text())
    assert config["formats"] == ["saved_model"]
    with pytest.raises(UserError, match="openvino, which its export refused: its sc"):
        open_runtime(folder, "openvino")


@pytest.fixture
def prover(monkeypatch):
    """Proves formats of no model, from two snippets."""

    def made(samples=lambda: iter([{}, {}])):
        videos = SimpleNamespace(source=None, made_up=False, calibration=samples)
        reference = Reference(np.float32([[0.9, 0.1]]), np.array([0]))
        return prove.Prover(Path("absent"), videos, reference, 0.01)

    monkeypatch.setattr(prove, "load_runtime", lambda *_: None)
    return made


def test_damage_met_while_calibrating_ends_the_export(prover, monkeypatch):
    def damaged():
        yield {}
        raise UserError("the shard train-0.tfrecord is damaged")

    def convert(name, folder, out, samples):
        try:
            list(samples)
        except UserError as error:  # as converters in C++ do
            raise RuntimeError("cannot calibrate") from error

    monkeypatch.setattr(prove.formats, "convert", convert)
    with pytest.raises(UserError, match=r"the shard train-0.tfrecord is damaged"):
        prover(damaged).convert("litert_int8")


def test_damage_met_while_comparing_ends_the_export(prover, monkeypatch):
    def damaged(*given):
        raise tf.errors.DataLossError(None, None, "corrupted record at 0")

    monkeypatch.setattr(prove.formats, "convert", lambda *given: None)
    monkeypatch.setattr(prove, "score_views", damaged)
    with pytest.raises(tf.errors.DataLossError):  # `naming_damage` names the shard
        prover().convert("onnx")


def test_too_little_memory_ends_the_export(prover, monkeypatch):
    def convert(*given):
        raise MemoryError

    monkeypatch.setattr(prove.formats, "convert", convert)
    with pytest.raises(UserError, match="converting to onnx .* must fit into memory"):
        prover().convert("onnx")


def test_the_command_fails_where_a_format_is_refused(
    trained, tmp_path, monkeypatch, capsys
):
    parity = {
        "saved_model": {"passed": True, "bytes": 1, "max_abs_diff": 0.0, "videos": 5},
        "onnx": {"passed": False, "reason": "no operator Foo"},
    }
    state = tmp_path / "assets.extra" / "parity.json"
    write_json(state, parity)
    values = SimpleNamespace(run=str(trained.folder), out="models/m", data=None)
    monkeypatch.setattr(command.absl_flags, "FLAGS", values)
    monkeypatch.setattr(exporting, "export", lambda *given: tmp_path)
    for config, fails in (
        (ExportConfig(), pytest.raises(UserError, match="^onnx was refused and not")),
        (ExportConfig(allow_refused=True, bench=True), contextlib.nullcontext()),
    ):
        read = partial(
            lambda wanted, cls: wanted if cls is ExportConfig else cls(), config
        )
        monkeypatch.setattr(command.flags, "read", read)
        with fails:
            command.main([])
        out = capsys.readouterr().out
        assert "refused: onnx: no operator Foo" in out
        assert ("max diff" in out) is config.bench
    write_json(state, {**parity, "openvino": {**parity["onnx"], "reason": "another"}})
    monkeypatch.setattr(command.flags, "read", lambda cls: cls())
    with pytest.raises(UserError, match="^onnx, openvino were refused and not"):
        command.main([])


def test_the_report_of_the_run_shows_the_formats(tmp_path, monkeypatch, capsys):
    shown = {}
    monkeypatch.setattr(
        table, "add_formats", lambda folder, *given: shown.update({folder: given})
    )
    parity = {
        "saved_model": {"passed": True, "top1_agreement": 1.0, "videos": 12},
        "onnx": {"passed": False, "reason": "no operator Foo"},
    }
    run, report = tmp_path / "run", tmp_path / "run" / "report"
    command._show(run, "ours", parity)
    assert not shown  # it was not evaluated yet
    report.mkdir(parents=True)
    (report / "index.html").touch()
    write_json(report / "metrics.json", {"weights_digest": "others"})
    command._show(run, "ours", parity)
    assert not shown
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("the report has no table of the formats: ")
    assert "is of other weights than the run's: run evaluate.py again" in line
    write_json(report / "metrics.json", {"weights_digest": "ours", "videos": 102})
    command._show(run, "ours", parity)
    rows, about = shown[report]
    assert "on 12 of 102 test videos." in about
    assert "batch" not in about  # no time was measured
    assert rows == {
        "saved_model": {"agreement %": "100.00", "published": "yes"},
        "onnx": {"agreement %": "–", "published": "no: no operator Foo"},
    }
    assert "report: " in capsys.readouterr().out


def test_the_table_says_what_its_figures_are():
    timed = {"passed": True, "videos": 12, "latency_ms": 1.0}
    assert "at batch 1, on the machine" in table.about({"saved_model": timed}, 102)
    both = {**timed, "latency_ms_batch_8": 2.0, "made_up": True}
    text = table.about({"saved_model": both}, 102)
    assert "on 12 made-up videos." in text and "at batch 1 and 8, on" in text


def test_a_missing_package_is_said_before_any_work(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(pipeline, "view_batches", None)
    with pytest.raises(UserError, match=r"pip install '\.\[openvino\]'"):
        export(trained, tmp_path / "m", config=ExportConfig(formats=("openvino",)))
    every = r"ai_edge_litert, onnx, onnxruntime, tf2onnx, openvino to be installed"
    with pytest.raises(UserError, match=rf"{every}.*'\.\[litert,onnx,openvino\]'"):
        export(trained, tmp_path / "m", config=ExportConfig(formats=("all",)))
    assert not (tmp_path / "m").exists()
