"""Archives made on the spot: unpacked, continued, refused, never outside the target."""

import importlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from data_prep.fetching import archive
from data_prep.fetching import unpack as unpacking
from data_prep.fetching.rar_sums import stated_sums
from data_prep.fetching.unpack import unpack
from stfn_keras.errors import UserError

sys.path.append(str(Path(__file__).parent))
from rar_writer import DEVICE, LINK, rar4, rar5  # noqa: E402

sys.path.pop()

ROOT = Path(__file__).parents[3]
FILES = [(b"UCF-101/Run/v_Run_g01_c01.avi", b"run" * 99), (b"UCF-101/Hop/b.AVI", b"")]


@pytest.fixture(autouse=True)
def _needs_libarchive():
    try:
        archive.load_library()
    except UserError as error:
        pytest.skip(str(error))


def tar_bytes(files, kind="", **fields) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{kind}") as tar:
        for name, data in files:
            info = tarfile.TarInfo(os.fsdecode(name))
            info.size = len(data)
            for key, value in fields.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_bytes(files, mode: int = 0o100644) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in files:
            info = zipfile.ZipInfo(os.fsdecode(name))
            info.external_attr = mode << 16
            file.writestr(info, data)
    return out.getvalue()


def seven_zip_bytes(files, options: str = "") -> bytes:
    library = archive.load_library()
    out = io.BytesIO()
    with library.write.custom_writer(out.write, "7zip", options=options) as writer:
        for name, data in files:
            writer.add_file_from_memory(os.fsdecode(name), len(data), data)
    return out.getvalue()


def stored_7z(files) -> bytes:
    return seven_zip_bytes(files, "7zip:compression=store")


def put(folder: Path, data: bytes, name: str = "a.rar") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize(
    "make",
    [rar4, rar5, zip_bytes, tar_bytes, seven_zip_bytes]
    + [lambda files, kind=kind: tar_bytes(files, kind) for kind in ("gz", "bz2", "xz")],
)
def test_every_kind_of_archive(tmp_path, make):
    notes = [(b"UCF-101/readme.txt", b"text"), (b"__MACOSX/Run/._x.avi", b"fork")]
    path = put(tmp_path, make([*FILES, *notes, (b"loose.avi", b"no class")]))
    found = unpack(path, tmp_path / "videos", ".avi", folders=True)
    assert tree(tmp_path / "videos") == {
        "Run/v_Run_g01_c01.avi": b"run" * 99,
        "Hop/b.AVI": b"",
    }
    assert (found.files, found.bytes) == (2, 297)
    names = ["UCF-101/readme.txt", "__MACOSX/Run/._x.avi", "loose.avi"]
    assert sorted(found.ignored) == sorted(names)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.rar", "videos"]


@pytest.mark.parametrize("make", [rar4, rar5])
def test_a_rar_of_rars(tmp_path, make):
    inner = [
        (b"run.rar", make([(b"run/a.avi", b"1"), (b"run/b.avi", b"22")])),
        (b"hop.rar", make([(b"a.avi", b"333")])),
    ]
    path = put(tmp_path, make(inner))
    found = unpack(path, tmp_path / "videos", ".avi", folders=True)
    assert tree(tmp_path / "videos") == {
        "run/a.avi": b"1",
        "run/b.avi": b"22",
        "hop/a.avi": b"333",
    }
    assert found.files == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.rar", "videos"]


def test_lists_go_side_by_side(tmp_path):
    path = put(tmp_path, rar4([(b"lists/a.txt", b"x"), (b"b.txt", b"y")]))
    unpack(path, tmp_path / "splits", ".txt", folders=False)
    assert tree(tmp_path / "splits") == {"a.txt": b"x", "b.txt": b"y"}


def test_odd_names(tmp_path):
    names = ["Run/a'; touch PWNED; '.avi", "Run/new\nline.avi", "Run/ü #1 (b)&[c]!.avi"]
    files = [(name.encode(), b"x") for name in names] + [(b"Run/\xff\xfe.avi", b"y")]
    path = put(tmp_path, rar4(files))
    unpack(path, tmp_path / "videos", ".avi", folders=True)
    assert set(tree(tmp_path / "videos")) == {*names, os.fsdecode(b"Run/\xff\xfe.avi")}


@pytest.mark.parametrize("make", [rar4, rar5, zip_bytes, tar_bytes])
@pytest.mark.parametrize(
    "name",
    [b"/tmp/Run/x.avi", b"../Run/x.avi", b"Run/../../x.avi", b"C:/Run/x.avi",
     b"Run/C:x.avi", b"..\\..\\Run\\x.avi", b"\\\\server\\Run\\x.avi"],
)  # fmt: skip
def test_paths_that_lead_out_refuse_the_archive(tmp_path, make, name):
    path = put(tmp_path, make([*FILES, (name, b"bad")]))
    with pytest.raises(UserError, match="within its own folder") as caught:
        unpack(path, tmp_path / "box" / "videos", ".avi", folders=True)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == {"a.rar": path.read_bytes()}


@pytest.mark.parametrize("make", [rar4, rar5, zip_bytes])
@pytest.mark.parametrize("kind", ["rar", "zip"])
@pytest.mark.parametrize("stem", ["..", ".", "", "...", " ", ". ."])
def test_a_class_of_dots_refuses_the_archive(tmp_path, make, kind, stem):
    """`...rar` would put its files into `videos/..`."""
    inner = (rar4 if kind == "rar" else zip_bytes)([(b"a.avi", b"bad")])
    path = put(tmp_path, make([*FILES, (f"{stem}.{kind}".encode(), inner)]))
    with pytest.raises(UserError, match="more than dots") as caught:
        unpack(path, tmp_path / "box" / "videos", ".avi", folders=True)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == {"a.rar": path.read_bytes()}


@pytest.mark.parametrize("make", [rar4, rar5, zip_bytes])
def test_a_folder_of_dots_refuses_the_archive(tmp_path, make):
    path = put(tmp_path, make([*FILES, (b"Run/.../a.avi", b"bad")]))
    with pytest.raises(UserError, match="more than dots"):
        unpack(path, tmp_path / "box" / "videos", ".avi", folders=True)
    assert tree(tmp_path) == {"a.rar": path.read_bytes()}


def test_a_file_must_lie_below_the_target_itself(tmp_path, monkeypatch):
    """The second lock: were a bad class ever let through, nothing is written."""
    monkeypatch.setattr(unpacking, "_check_class", lambda *_: None)
    path = put(tmp_path, rar4([(b"...rar", rar4([(b"a.avi", b"bad")]))]))
    with pytest.raises(UserError, match="must lie below"):
        unpack(path, tmp_path / "box" / "videos", ".avi", folders=True)
    assert not list(tmp_path.rglob("a.avi"))


def test_what_a_mac_adds_is_no_archive_within(tmp_path):
    files = [(b"__MACOSX/._run.rar", b"fork"), (b"._run.zip", b"fork")]
    path = put(tmp_path, zip_bytes([*FILES, *files]))
    found = unpack(path, tmp_path / "videos", ".avi", folders=True)
    assert (found.files, len(found.ignored)) == (2, 2)


LINK_NAME = [(b"Run/l.avi", b"/etc/passwd")]


@pytest.mark.parametrize(
    "data",
    [
        rar4(LINK_NAME, LINK),
        rar4(LINK_NAME, DEVICE),
        *(rar5([(b"Run/l.avi", b"")], link=(k, b"/etc/x")) for k in (1, 2, 3, 4, 5)),
        rar5([(b"Run/l.avi", b"")], DEVICE),
        zip_bytes(LINK_NAME, LINK),
        *(
            tar_bytes([(b"Run/l.avi", b"")], type=kind, linkname="/etc/passwd")
            for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE)
        ),
        tar_bytes([(b"Run", b"")], type=tarfile.SYMTYPE, linkname="../.."),
        tar_bytes([(b"Run/l.avi", b"")], type=tarfile.FIFOTYPE),
    ],
)
def test_links_and_devices_refuse_the_archive(tmp_path, data):
    path = put(tmp_path, data)
    with pytest.raises(UserError, match="files and folders only.*'Run"):
        unpack(path, tmp_path / "videos", ".avi", folders=True)
    assert tree(tmp_path) == {"a.rar": data}


def test_a_planted_folder_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "box" / "videos").mkdir(parents=True)
    (tmp_path / "box" / "videos" / "Run").symlink_to(tmp_path / "elsewhere")
    path = put(tmp_path, rar4(FILES))
    with pytest.raises(UserError, match="a link to"):
        unpack(path, tmp_path / "box" / "videos", ".avi", folders=True)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_name_twice_is_refused(tmp_path):
    path = put(tmp_path, rar4([(b"x/Run/a.avi", b"1"), (b"y/Run/a.avi", b"2")]))
    with pytest.raises(UserError, match="'Run/a.avi' twice"):
        unpack(path, tmp_path / "videos", ".avi", folders=True)


@pytest.mark.parametrize("make", [rar4, zip_bytes])
def test_bombs_are_refused_before_anything_is_written(tmp_path, make):
    path = put(tmp_path, make([(b"Run/a.avi", b"x" * 600), (b"Run/b.avi", b"x" * 600)]))
    with pytest.raises(UserError, match="1,000 bytes at most.*Received: 1,200"):
        unpack(path, tmp_path / "videos", ".avi", folders=True, max_bytes=1000)
    assert not tree(tmp_path / "videos")


def test_bytes_of_archives_within_count(tmp_path):
    inner = rar4([(b"run/a.avi", b"x" * 600)])
    path = put(tmp_path, rar4([(b"run.rar", inner)]))
    with pytest.raises(UserError, match="1,000 bytes at most"):
        unpack(path, tmp_path / "videos", ".avi", folders=True, max_bytes=1000)


def test_too_many_entries_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "MAX_ENTRIES", 1)
    with pytest.raises(UserError, match="1 files at most"):
        unpack(put(tmp_path, rar4(FILES)), tmp_path / "v", ".avi", folders=True)


def test_a_full_disk_is_told_before(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="297 bytes are to be written, 10 are free"):
        unpack(put(tmp_path, rar4(FILES)), tmp_path / "v", ".avi", folders=True)


def rar_of_rars(count: int) -> bytes:
    inner = rar4([(b"a.avi", b"x" * 5000)])
    return rar4([(b"c%d.rar" % i, inner) for i in range(count)])


def test_a_disk_that_fills_up_is_told_before_each_archive_within(tmp_path, monkeypatch):
    """What other classes take up does not count as room for the next one."""
    free = [20_000, 20_000, 4_999]  # the outer archive, c0 and c1
    monkeypatch.setattr(
        unpacking.shutil,
        "disk_usage",
        lambda _: type("Usage", (), {"free": free.pop(0)}),
    )
    path, videos = put(tmp_path, rar_of_rars(3)), tmp_path / "videos"
    with pytest.raises(UserError, match="5,000 bytes are to be written, 4,999 are"):
        unpack(path, videos, ".avi", folders=True)
    assert set(tree(videos)) == {"c0/a.avi"}


def test_what_is_there_needs_no_room_again(tmp_path, monkeypatch):
    path, videos = put(tmp_path, rar_of_rars(3)), tmp_path / "videos"
    unpack(path, videos, ".avi", folders=True)
    (videos / "c2" / "a.avi").unlink()
    usage = type("Usage", (), {"free": 6_000})
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: usage)
    assert unpack(path, videos, ".avi", folders=True).files == 3


CLIPS = [(b"Run/%d.avi" % i, bytes([65 + i]) * 500) for i in range(8)]


@pytest.mark.parametrize("make", [rar4, rar5, zip_bytes, tar_bytes])
def test_a_cut_archive_is_one_clear_line(tmp_path, make):
    whole = make(CLIPS)
    path = put(tmp_path, whole[: whole.index(b"F" * 500) + 100])
    with pytest.raises(UserError, match="damaged or cut off|is cut off") as caught:
        unpack(path, tmp_path / "videos", ".avi", folders=True)
    assert "\n" not in str(caught.value)
    path.write_bytes(whole)
    assert unpack(path, tmp_path / "videos", ".avi", folders=True).files == 8


@pytest.mark.parametrize("make", [rar4, rar5, zip_bytes, stored_7z])
def test_a_flipped_bit_is_found_and_what_came_before_stays(tmp_path, make):
    """Guards: libarchive does not check the sums of files stored in RAR archives."""
    whole = bytearray(make(CLIPS))
    place = whole.index(b"D" * 500) + 250
    whole[place] ^= 1
    path = put(tmp_path, bytes(whole))
    with pytest.raises(UserError, match="damaged"):
        unpack(path, tmp_path / "videos", ".avi", folders=True)
    assert set(tree(tmp_path / "videos")) == {f"Run/{i}.avi" for i in range(3)}
    first = tmp_path / "videos" / "Run" / "0.avi"
    before = first.stat()
    whole[place] ^= 1
    path.write_bytes(whole)
    assert unpack(path, tmp_path / "videos", ".avi", folders=True).files == 8
    assert tree(tmp_path / "videos") == {n.decode(): data for n, data in CLIPS}
    assert first.stat().st_ino == before.st_ino  # kept, not written again


@pytest.mark.parametrize("make", [rar4, rar5, zip_bytes, seven_zip_bytes])
def test_every_file_is_checked(tmp_path, make):
    path = put(tmp_path, make(CLIPS))
    assert not unpack(path, tmp_path / "v", ".avi", folders=True).unchecked


@pytest.mark.parametrize("make", [lambda f: rar5(f, sums=False), tar_bytes])
def test_files_without_a_checksum_are_named(tmp_path, make):
    path = put(tmp_path, make([*CLIPS, (b"Run/note.txt", b"ignored")]))
    found = unpack(path, tmp_path / "v", ".avi", folders=True)
    assert found.files == 8
    assert found.unchecked == [name.decode() for name, _ in CLIPS]


@pytest.mark.parametrize("make", [rar4, rar5])
def test_where_the_headers_are_read_otherwise_the_files_are_named(
    tmp_path, make, monkeypatch
):
    """One entry of another size, and one too few: nothing is claimed for either."""
    read = archive.stated_sums

    def otherwise(path):
        sums = read(path)[:-1]
        return sums and [(sums[0][0] + 1, sums[0][1]), *sums[1:]]

    monkeypatch.setattr(archive, "stated_sums", otherwise)
    path = put(tmp_path, rar4([(b"Run.rar", make(CLIPS)), (b"Hop.rar", rar4([]))]))
    found = unpack(path, tmp_path / "v", ".avi", folders=True)
    assert found.unchecked == ["Run/0.avi", "Run/7.avi"]


def test_sums_are_read_as_written(tmp_path):
    expected = [(len(data), zlib.crc32(data)) for _, data in CLIPS]
    assert stated_sums(put(tmp_path, rar4(CLIPS))) == expected
    assert stated_sums(put(tmp_path, rar5(CLIPS))) == expected
    assert stated_sums(put(tmp_path, zip_bytes(CLIPS))) == []


@pytest.mark.parametrize("make", [rar4, rar5])
def test_no_header_however_damaged_does_more_than_a_user_error(tmp_path, make):
    whole = make([(b"Run/%d.avi" % i, b"x" * 9) for i in range(3)])
    for place in range(len(whole)):
        for value in (0, 255, whole[place] ^ 16):
            data = bytearray(whole)
            data[place] = value
            path = put(tmp_path, bytes(data))
            try:
                unpack(path, tmp_path / "box" / "videos", ".avi", folders=True)
            except UserError as error:
                assert "\n" not in str(error)
    outside = {p.name for p in tmp_path.iterdir()}
    assert outside == {"a.rar", "box"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "none of these; get"),
        (b"text", "none of these; get"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"#mtree\nRun/x.avi type=file contents=/etc/passwd\n", "none of these"),
    ],
)
def test_what_is_no_archive(tmp_path, data, message):
    with pytest.raises(UserError, match=message):
        unpack(put(tmp_path, data), tmp_path / "videos", ".avi", folders=True)


KILLED = """
import os, signal, sys
from pathlib import Path
from data_prep.fetching import unpack
left, replace = int(sys.argv[3]), os.replace
def dying(*names):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)
os.replace = dying
unpack.unpack(Path(sys.argv[1]), Path(sys.argv[2]), ".avi", folders=True)
"""


@pytest.mark.parametrize("renamed", [0, 2, 4])
def test_killed_in_the_middle_and_continued(tmp_path, renamed):
    inner = [
        (f"c{i}.rar".encode(), rar4([(b"a.avi", b"%d" % i * 9)])) for i in range(3)
    ]
    path, videos = put(tmp_path, rar4(inner)), tmp_path / "videos"
    command = [sys.executable, "-c", KILLED, str(path), str(videos), str(renamed)]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert len(tree(videos)) == renamed // 2
    assert unpack(path, videos, ".avi", folders=True).files == 3
    assert tree(videos) == {f"c{i}/a.avi": b"%d" % i * 9 for i in range(3)}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.rar", "videos"]


def test_without_libarchive_a_hint(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UserError, match=r"pip install '\.\[fetch\]'"):
        archive.load_library()
