"""Published archives: the same bytes, whole or absent, and read only if unharmed."""

import dataclasses
import json
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from stfn_keras.errors import UserError
from stfn_keras.evaluation.evaluate import evaluate, score_run
from stfn_keras.evaluation.scoring import trained_network
from stfn_keras.files import sha256
from stfn_keras.training import archive
from stfn_keras.training.archive import opened
from stfn_keras.training.card import model_card
from stfn_keras.training.publishing import publish
from stfn_keras.training.run import Run


@pytest.fixture(scope="module")
def published(trained, tmp_path_factory):
    return publish(trained.folder, tmp_path_factory.mktemp("published") / "stfn.zip")


def members(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def sealed(path, contents: dict[str, bytes], **options):
    """An archive of any members with a right digest at its end."""
    with zipfile.ZipFile(path, "w", **options) as file:
        file.comment = b"sha256 " + b"0" * 64
        for name, content in contents.items():
            file.writestr(name, content)
    digest = archive._sealed_digest(path).encode()
    path.write_bytes(path.read_bytes()[:-64] + digest)
    return path


def redigested(contents: dict[str, bytes]) -> dict[str, bytes]:
    """The members with digests that fit them, as a forger would make them."""
    import hashlib

    block = json.loads(contents[archive.DIGESTS])
    for name, content in contents.items():
        if name in block["files"]:
            block["files"][name]["sha256"] = hashlib.sha256(content).hexdigest()
    return {**contents, archive.DIGESTS: json.dumps(block).encode()}


def refused(path, match):
    with pytest.raises(UserError, match=match) as caught, opened(path):
        raise AssertionError("it was opened")
    assert "\n" not in str(caught.value)


def test_the_same_run_gives_the_same_bytes(trained, published, tmp_path):
    again = publish(trained.folder, tmp_path / "again.zip")
    assert again.sha256 == published.sha256 == sha256(again.path)
    moved = tmp_path / "moved"
    shutil.copytree(trained.folder, moved)
    assert publish(moved, tmp_path / "moved.zip").sha256 == published.sha256


def test_weights_are_in_it_once_and_alone(trained, published):
    parameters = trained_network(trained).count_params()
    found = members(published.path)
    assert set(found) == {"MODEL_CARD.md", "config.json", "model.weights.h5",
                          "digests.json"}  # fmt: skip
    assert 4 * parameters < len(found["model.weights.h5"])
    with zipfile.ZipFile(trained.network_file) as file:
        assert found["model.weights.h5"] == file.read("model.weights.h5")


def test_a_run_read_back_is_the_run(trained, published):
    with opened(published.path) as run:
        folder = run.folder
        assert (run.model, run.labels) == (trained.model, trained.labels)
        assert run.training == trained.training
        assert (run.data, run.data_digest) == ("", trained.data_digest)
        ours = trained_network(run).get_weights()
    assert not folder.exists()
    for a, b in zip(ours, trained_network(trained).get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_directory_opens_as_it_is(trained):
    with opened(trained.folder) as run:
        assert run == trained


def test_no_path_of_the_machine_is_in_it(trained, tmp_path):
    """Runs carry where data, other runs and weights were; none of it is published."""
    place = tmp_path / "secret-place"
    folder, towers = place / "run", place / "towers"
    training = dataclasses.replace(
        trained.training, rgb_weights=str(place / "lite.weights.h5")
    )
    for copy, taken in ((towers, None), (folder, towers)):
        shutil.copytree(trained.folder, copy)
        run = dataclasses.replace(
            trained, folder=copy, training=training, data="/secret-place/ucf101",
            towers_from=taken,
        )  # fmt: skip
        (copy / "config.json").write_text(json.dumps(run.settings()))
    found = publish(folder)
    assert found.path == folder / "published" / "run.zip"
    for name, content in members(found.path).items():
        assert b"secret-place" not in content, name
    card = members(found.path)["MODEL_CARD.md"].decode()
    assert "--rgb_weights=lite.weights.h5" in card
    assert "ucf101, split 1" in card


def test_the_card_says_what_was_recorded(published, trained):
    card = members(published.path)["MODEL_CARD.md"].decode()
    assert trained.data_digest in card
    assert "left, right" in card
    assert "--tower=tiny" in card
    assert "--rgb_epochs=2" in card
    assert "--flow_scales=1.0,0.75" in card
    assert "Not evaluated" in card
    assert not published.evaluated
    assert "random weights" in card
    assert "none stated by the publisher" in card


def test_the_card_says_what_it_started_from(trained):
    run = dataclasses.replace(trained, init_digest="ab" * 32)
    card = model_card(run, "mine", None)
    assert f"started from the weights of another run, `{'ab' * 32}`" in card
    assert "random weights" not in card
    assert "--init_from=A_RUN_WITH_WEIGHTS_abababababab" in card


def test_results_are_those_of_these_weights(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder)
    run = Run.open(folder)
    metrics = evaluate(run)
    found = publish(folder, tmp_path / "a.zip", license="CC BY 4.0")
    card = members(found.path)["MODEL_CARD.md"].decode()
    assert found.evaluated
    assert f"| video_top1 | {metrics['video_top1']:.4f} |" in card
    assert "CC BY 4.0" in card
    with opened(found.path) as back:
        path = back.folder / "report" / "metrics.json"
        assert json.loads(path.read_text()) == metrics
    other = {**metrics, "weights_digest": "0" * 64}
    (folder / "report" / "metrics.json").write_text(json.dumps(other))
    with pytest.raises(UserError, match="report of other weights"):
        publish(folder, tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def test_an_archive_is_evaluated_like_its_run(trained, published, dataset):
    expected = score_run(trained, "1x1", batch=4)
    with opened(published.path) as run:
        found = score_run(run, "1x1", batch=4, data=dataset)
    np.testing.assert_array_equal(found.logits, expected.logits)


def test_another_file_is_never_overwritten(trained, published, tmp_path):
    path = tmp_path / "letter.zip"
    path.write_text("mine")
    with pytest.raises(UserError, match="exists and is something else"):
        publish(trained.folder, path)
    assert path.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["letter.zip"]
    assert publish(trained.folder, published.path).sha256 == published.sha256


def test_unfinished_and_damaged_runs_are_not_published(trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained.folder, folder)
    file = folder / "checkpoints" / "model.keras"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="missing or damaged"):
        publish(folder, tmp_path / "x.zip")
    (folder / "checkpoints" / "model.json").unlink()
    with pytest.raises(UserError, match="no finished network"):
        publish(folder, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


def test_a_fault_while_writing_leaves_nothing(trained, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive.shutil, "copyfileobj", full)
    with pytest.raises(UserError, match="No space left"):
        publish(trained.folder, tmp_path / "x.zip")
    assert not list(tmp_path.iterdir())


def test_every_changed_byte_is_noticed(published, tmp_path):
    """At places in headers, members, the directory and the digest at the end."""
    content = published.path.read_bytes()
    places = np.unique(np.linspace(0, len(content) - 1, 150).astype(int)).tolist()
    path = tmp_path / "changed.zip"
    for place in [*places, *range(len(content) - 100, len(content), 7)]:
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        refused(path, "damaged|cut off|expected a run directory")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_what_was_cut_off_is_noticed(published, tmp_path, share):
    content = published.path.read_bytes()
    path = tmp_path / "cut.zip"
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "cut off|expected a run directory")


def test_appended_bytes_are_noticed(published, tmp_path):
    path = tmp_path / "long.zip"
    path.write_bytes(published.path.read_bytes() + b"more")
    refused(path, "cut off")


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil", "model.keras", "a/b"])
def test_other_members_are_refused(published, tmp_path, name):
    contents = {**members(published.path), name: b"x"}
    refused(sealed(tmp_path / "x.zip", contents), "it holds '")
    assert [p.name for p in tmp_path.iterdir()] == ["x.zip"]


def test_missing_members_are_refused(published, tmp_path):
    contents = members(published.path)
    del contents["config.json"]
    refused(sealed(tmp_path / "x.zip", contents), "lacks config.json")


def test_bombs_are_refused_unread(published, tmp_path):
    contents = {**members(published.path), "model.weights.h5": bytes(1_000_000)}
    path = sealed(tmp_path / "x.zip", contents, compression=zipfile.ZIP_DEFLATED)
    refused(path, "is compressed")
    contents = {**members(published.path), "config.json": bytes(archive.MAX_TEXT + 1)}
    refused(sealed(tmp_path / "x.zip", contents), "more than 16000000")


def test_a_member_without_its_digest_is_refused(published, tmp_path):
    contents = {**members(published.path), "config.json": b"{}"}
    refused(sealed(tmp_path / "x.zip", contents), "the digest of config.json differs")


@pytest.mark.parametrize("config", [b"{}", b"[]", b"no", b'{"kind": "other"}'])
def test_settings_of_something_else_are_refused(published, tmp_path, config):
    contents = redigested({**members(published.path), "config.json": config})
    refused(sealed(tmp_path / "x.zip", contents), "config.json|run directory")


def test_a_folder_in_the_settings_is_refused(published, tmp_path):
    """Guards a reader that trusts where an archive says data lie."""
    contents = members(published.path)
    block = json.loads(contents["config.json"])
    block["data"]["path"] = "/etc"
    contents["config.json"] = json.dumps(block).encode()
    refused(sealed(tmp_path / "x.zip", redigested(contents)), "names a folder")


def external(file):
    file["layers"] = h5py.ExternalLink("/etc/passwd", "/")


def soft(file):
    file["layers"] = h5py.SoftLink("/other")


def packed(file):
    file.create_dataset("a", data=np.zeros(1_000_000), compression="gzip")


def empty(file):
    file.create_dataset("a", shape=(10**12,), dtype="f4")


def raw(file):
    space = [("/etc/passwd", 0, 16)]
    file.create_dataset("a", shape=(4,), dtype="f4", external=space)


def text(file):
    file["a"] = "words"


def loop(file):
    file.create_group("g")["again"] = file["/"]


@pytest.mark.parametrize("make", [external, soft, packed, empty, raw, text, loop])
def test_weights_that_are_no_plain_arrays_are_refused(published, tmp_path, make):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        make(file)
    content = (tmp_path / "w.h5").read_bytes()
    contents = redigested({**members(published.path), "model.weights.h5": content})
    refused(sealed(tmp_path / "x.zip", contents), "the weights .*model.weights.h5")


def test_weights_that_are_no_hdf5_are_refused(published, tmp_path):
    contents = {**members(published.path), "model.weights.h5": b"import os"}
    path = sealed(tmp_path / "x.zip", redigested(contents))
    refused(path, "cannot be read")


def test_a_missing_archive_is_one_line(tmp_path):
    refused(tmp_path / "nowhere.zip", "run directory made by train.py")
