"""The fetch command on small stand-ins of the official archives."""

import dataclasses
import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.fetching import archive
from data_prep.fetching import fetch as fetching
from data_prep.fetching.download import download
from data_prep.fetching.fetch import FetchConfig, fetch
from data_prep.fetching.sources import SOURCES
from stfn_keras.data.protocols import discover
from stfn_keras.errors import UserError

sys.path.append(str(Path(__file__).parent))
from broken_server import Site, served  # noqa: E402
from rar_writer import rar4, rar5  # noqa: E402

sys.path.pop()

ROOT = Path(__file__).parents[3]
CLIPS = ("Hop/v_Hop_g01_c01.avi", "Hop/v_Hop_g02_c01.avi", "Run/v_Run_g01_c01.avi",
         "Run/v_Run_g02_c01.avi")  # fmt: skip


@pytest.fixture(autouse=True)
def _needs_libarchive():
    try:
        archive.load_library()
    except UserError as error:
        pytest.skip(str(error))


def ucf_videos(names=CLIPS) -> bytes:
    return rar4([(f"UCF-101/{name}".encode(), name.encode()) for name in names])


def ucf_lists() -> bytes:
    files = {"classInd.txt": "1 Hop\r\n2 Run\r\n"}
    for split in (1, 2, 3):
        files[f"trainlist{split:02d}.txt"] = f"{CLIPS[0]} 1\r\n{CLIPS[2]} 2\r\n"
        files[f"testlist{split:02d}.txt"] = f"{CLIPS[1]}\r\n{CLIPS[3]}\r\n"
    folder = "ucfTrainTestlist"
    return rar4([(f"{folder}/{n}".encode(), t.encode()) for n, t in files.items()])


def hmdb_videos() -> bytes:
    return rar4(
        [
            (f"{label}.rar".encode(), rar4([
                (f"{label}/film{n}_{label}_u_cm_np1_ba_bad_{n}.avi".encode(), b"%d" % n)
                for n in (1, 2)
            ]))
            for label in ("hop", "run")
        ]
    )  # fmt: skip


def hmdb_lists() -> bytes:
    return rar4(
        [
            (
                f"testTrainMulti_7030_splits/{label}_test_split{split}.txt".encode(),
                "".join(
                    f"film{n}_{label}_u_cm_np1_ba_bad_{n}.avi {n} \n" for n in (1, 2)
                ).encode(),
            )
            for label in ("hop", "run")
            for split in (1, 2, 3)
        ]
    )


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """The archives as files of their official names, and facts that agree with them."""
    made = {
        "ucf101": (ucf_videos(), ucf_lists(), 7),
        "hmdb51": (hmdb_videos(), hmdb_lists(), 6),
    }
    folder = tmp_path / "archives"
    folder.mkdir()
    for dataset, (videos, lists, count) in made.items():
        source = SOURCES[dataset]
        parts = {}
        for part, data, files in (("videos", videos, 4), ("splits", lists, count)):
            old = getattr(source, part)
            (folder / old.name).write_bytes(data)
            size = len(data) if old.bytes else 0
            digest = hashlib.sha256(data).hexdigest()
            parts[part] = dataclasses.replace(
                old, bytes=size, sha256=digest, files=files
            )
        source = dataclasses.replace(source, classes=2, **parts)
        monkeypatch.setitem(SOURCES, dataset, source)
    return folder


def config(sources: Path, dataset: str, out: Path, **changes) -> FetchConfig:
    source = SOURCES[dataset]
    settings = {
        "source": str(sources / source.videos.name),
        "splits_from": str(sources / source.splits.name),
        "out": str(out),
    }
    return FetchConfig(**{**settings, **changes})


def tree(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("dataset", ["ucf101", "hmdb51"])
def test_from_archives_to_folders_ready_to_prepare(tmp_path, sources, dataset, capsys):
    out = tmp_path / "out"
    before = {p: p.read_bytes() for p in sources.iterdir()}
    fetch(dataset, config(sources, dataset, out))
    inputs = discover(dataset, out / "videos", out / "splits")
    assert len(inputs.videos) == 4
    assert not inputs.unlisted
    assert sorted(p.name for p in out.iterdir()) == ["fetch.json", "splits", "videos"]
    said = capsys.readouterr().out
    assert "4 videos of 2 classes" in said
    assert f"--videos {out / 'videos'} --split_lists {out / 'splits'}" in said
    assert SOURCES[dataset].page in said
    assert {p: p.read_bytes() for p in sources.iterdir()} == before
    fetch(dataset, config(sources, dataset, out, source="/nowhere"))
    assert "nothing to do" in capsys.readouterr().out


def test_the_next_command_can_be_pasted(tmp_path, sources, capsys):
    out = tmp_path / "my videos; $(touch PWNED)"
    fetch("ucf101", config(sources, "ucf101", out))
    words = shlex.split(capsys.readouterr().out.split("prepare it with:")[1])
    assert words[words.index("--videos") + 1] == str(out / "videos")
    assert words[words.index("--split_lists") + 1] == str(out / "splits")


def test_files_that_nothing_vouches_for_are_told(tmp_path, sources, capsys):
    path = tmp_path / "mirror.rar"
    files = [(f"UCF-101/{name}".encode(), name.encode()) for name in CLIPS]
    path.write_bytes(rar5(files, sums=False))
    fetch("ucf101", config(sources, "ucf101", tmp_path / "out", source=str(path)))
    said = capsys.readouterr().out
    assert "mirror.rar: 4 files not checked" in said
    assert said.count("not checked") == 1  # not so the lists


def test_from_a_server_that_breaks_off(tmp_path, sources, monkeypatch):
    source = SOURCES["ucf101"]
    lists = (sources / source.splits.name).read_bytes()
    videos = (sources / source.videos.name).read_bytes()
    monkeypatch.setattr(fetching, "download", _impatient)
    one, two = Site(lists, [100, 200, None]), Site(videos, [150, 0, None])
    with served(one) as first, served(two) as second:
        addresses = {"splits": f"{first}/l/{source.splits.name}",
                     "videos": f"{second}/v/{source.videos.name}?x=1"}  # fmt: skip
        for part, address in addresses.items():
            held = dataclasses.replace(getattr(source, part), address=address)
            source = dataclasses.replace(source, **{part: held})
        monkeypatch.setitem(SOURCES, "ucf101", source)
        fetch("ucf101", FetchConfig(out=str(tmp_path / "out"), keep_archives=True))
    assert len(one.requests) == len(two.requests) == 3
    work = tmp_path / "out" / ".fetch"
    assert (work / "archives" / "videos" / "UCF101.rar").read_bytes() == videos
    assert len(tree(tmp_path / "out" / "videos")) == 4


def _impatient(address: str, target: Path, hint: str) -> None:
    download(address, target, hint, sleep=lambda _: None)


def test_a_stopped_run_continues(tmp_path, sources, monkeypatch, capsys):
    """The lists are published, some videos lie aside; neither is made again."""
    out, unpack = tmp_path / "out", fetching.unpack

    def stopped(path, staged, *rest):
        if staged.name == "splits":
            return unpack(path, staged, *rest)
        (staged / "Hop").mkdir(parents=True)
        (staged / CLIPS[0]).write_bytes(b"#" * len(CLIPS[0]))
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "unpack", stopped)
    with pytest.raises(KeyboardInterrupt):
        fetch("ucf101", config(sources, "ucf101", out))
    assert not (out / "videos").exists()
    monkeypatch.setattr(fetching, "unpack", unpack)
    fetch("ucf101", config(sources, "ucf101", out, splits_from="/gone by now"))
    assert (out / "videos" / CLIPS[0]).read_bytes().startswith(b"#")  # kept
    assert len(tree(out / "videos")) == 4


def test_another_archive_starts_anew(tmp_path, sources, capsys):
    out = tmp_path / "out"
    part = tmp_path / "part.rar"
    part.write_bytes(ucf_videos([CLIPS[0], CLIPS[1], "Run/v_Run_g09_c09.avi"]))
    with pytest.raises(UserError, match="expected 4 videos, received 3.*listed"):
        fetch("ucf101", config(sources, "ucf101", out, source=str(part)))
    assert not (out / "videos").exists()
    fetch("ucf101", config(sources, "ucf101", out))
    assert "starting anew" in capsys.readouterr().out
    assert tree(out / "videos") == set(CLIPS)


def test_a_damaged_archive_is_replaced_and_the_rest_unpacked(tmp_path, sources):
    out, path = tmp_path / "out", tmp_path / "mirror.rar"
    sound = ucf_videos()
    spoilt = bytearray(sound)
    spoilt[sound.rindex(CLIPS[3].encode())] ^= 1
    path.write_bytes(spoilt)
    with pytest.raises(UserError, match="mirror.rar is damaged: .*g02_c01"):
        fetch("ucf101", config(sources, "ucf101", out, source=str(path)))
    assert not (out / "videos").exists()
    kept = out / ".fetch" / "videos" / CLIPS[0]
    before = kept.stat().st_ino
    path.write_bytes(sound)
    os.utime(path, (1, 1))
    fetch("ucf101", config(sources, "ucf101", out, source=str(path)))
    assert tree(out / "videos") == set(CLIPS)
    assert (out / "videos" / CLIPS[0]).stat().st_ino == before


def test_partial_archives_are_accepted_when_asked(tmp_path, sources, capsys):
    part = tmp_path / "part.rar"
    part.write_bytes(ucf_videos(CLIPS[:2]))
    given = {"source": str(part), "allow_partial": True}
    fetch("ucf101", config(sources, "ucf101", tmp_path / "out", **given))
    said = capsys.readouterr().out
    assert "expected 4 videos, received 2" in said
    assert "expected 2 classes, received 1" in said
    assert "every listed video, 2 are not there" in said
    fetch("ucf101", config(sources, "ucf101", tmp_path / "out"))
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("dataset", "change", "message"),
    [
        ("ucf101", lambda data: data + b"x", r"expected \d+ bytes, received \d+"),
        ("hmdb51", lambda data: data + b"x", "expected SHA-256 .* received"),
        ("ucf101", lambda data: data[:-9] + b"x" * 9, "expected SHA-256 .* received"),
    ],
)
def test_an_official_name_must_be_the_official_file(
    tmp_path, sources, dataset, change, message
):
    path = sources / SOURCES[dataset].videos.name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=message):
        fetch(dataset, config(sources, dataset, tmp_path / "out"))
    assert not (tmp_path / "out" / "videos").exists()


def test_too_few_lists(tmp_path, sources):
    lists = tmp_path / "lists.rar"
    lists.write_bytes(rar4([(b"classInd.txt", b"1 Hop\n")]))
    given = {"splits_from": str(lists)}
    with pytest.raises(UserError, match="expected 7 lists, received 1"):
        fetch("ucf101", config(sources, "ucf101", tmp_path / "out", **given))


def test_no_videos_at_all(tmp_path, sources):
    given = {"source": str(sources / SOURCES["ucf101"].splits.name)}
    settings = config(sources, "ucf101", tmp_path / "out", allow_partial=True, **given)
    with pytest.raises(UserError, match="is it the right archive"):
        fetch("ucf101", settings)


@pytest.mark.parametrize(
    ("entry", "message"),
    [("notes.txt", "has other files"), ("videos/a.avi", "has other files")],
)
def test_a_folder_of_something_else_is_refused(tmp_path, sources, entry, message):
    foreign = tmp_path / "out" / entry
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    with pytest.raises(UserError, match=message):
        fetch("ucf101", config(sources, "ucf101", tmp_path / "out"))
    assert tree(tmp_path / "out") == {entry}


def test_another_data_set_is_refused(tmp_path, sources):
    fetch("ucf101", config(sources, "ucf101", tmp_path / "out"))
    with pytest.raises(UserError, match="which holds ucf101"):
        fetch("hmdb51", config(sources, "hmdb51", tmp_path / "out"))


def test_a_finished_folder_that_lost_videos_is_told(tmp_path, sources):
    out = tmp_path / "out"
    fetch("ucf101", config(sources, "ucf101", out))
    os.remove(out / "videos" / CLIPS[0])
    with pytest.raises(UserError, match="Received: 3 of 2; delete"):
        fetch("ucf101", config(sources, "ucf101", out))


def test_a_second_run_at_the_same_time_is_refused(tmp_path, sources):
    work = tmp_path / "out" / ".fetch"
    work.mkdir(parents=True)
    with fetching.FileLock(work / "lock"):
        with pytest.raises(UserError, match="another run"):
            fetch("ucf101", config(sources, "ucf101", tmp_path / "out"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": ""}, "--out must name"),
        ({"source": "nowhere.rar"}, "--from must be an archive.*nowhere.rar"),
        ({"splits_from": "nowhere.rar"}, "--splits_from must be"),
        ({"source": "ftp://x/y.rar"}, "http or https"),
    ],
)
def test_bad_settings(tmp_path, sources, changes, message):
    settings = config(sources, "ucf101", tmp_path / "out")
    with pytest.raises(UserError, match=message):
        fetch("ucf101", dataclasses.replace(settings, **changes))


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "data_prep.fetching.fetch", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_the_command(tmp_path):
    """The real facts, with archives of other names that hold too little."""
    videos, lists = tmp_path / "v.rar", tmp_path / "l.rar"
    videos.write_bytes(ucf_videos())
    lists.write_bytes(ucf_lists())
    flags = (
        "ucf101", f"--from={videos}", f"--splits_from={lists}",
        f"--out={tmp_path / 'out'}",
    )  # fmt: skip
    done = run(*flags)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "expected 13,320 videos, received 4" in last
    assert "expected 101 classes, received 2" in last
    done = run(*flags, "--allow_partial")
    assert done.returncode == 0, done.stderr
    assert "python -m data_prep --videos" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "one data set: ucf101 or hmdb51. Received: nothing"),
        (("kinetics", "--out=x"), "Received: 'kinetics'"),
        (("ucf101", "hmdb51"), "Received: ucf101 hmdb51"),
        (("ucf101",), "--out must name"),
        (("ucf101", "--out=x", "--max_bytes=0"), "--max_bytes must be 1 or more"),
    ],
)
def test_errors_are_one_line(arguments, message):
    done = run(*arguments)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
