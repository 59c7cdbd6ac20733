"""Whatever happens to a dataset's files, `verify` has one line for it."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from small_dataset import HEIGHT, LABELS, WIDTH, agree, rewrite, write_dataset

from data_prep.checking.verify import dataset_faults, report, verify_dataset
from stfn_keras.data.index import COLUMNS, read_index, write_index
from stfn_keras.data.ledger import Rejected, read_ledger, write_ledger
from stfn_keras.data.manifest import Manifest, Shard
from stfn_keras.data.records import RecordWriter
from stfn_keras.data.remote import CacheConfig
from stfn_keras.errors import UserError
from stfn_keras.files import sha256
from stfn_keras.video import image


@pytest.fixture
def data(tmp_path) -> Path:
    return write_dataset(tmp_path / "small")


@pytest.fixture
def dense(tmp_path) -> Path:
    return write_dataset(tmp_path / "dense", "dense")


def first_shard(folder: Path) -> Path:
    return folder / Manifest.load(folder).shards[0].file


def jpeg(height: int, width: int, colour: bool) -> bytes:
    if colour:
        return image.encode_rgb(np.zeros((height, width, 3), np.uint8))
    return cv2.imencode(".jpg", np.zeros((height, width), np.uint8))[1].tobytes()


def put(key: str, *value):
    """A change of the first record's feature."""
    return lambda examples: examples[0].update({key: list(value)})


def put_item(key: str, value, item: int = 1):
    def change(examples):
        examples[0][key][item] = value

    return change


@pytest.mark.parametrize("layout", ["snippet", "dense"])
@pytest.mark.parametrize("decode", [False, True])
def test_a_sound_dataset(tmp_path, layout, decode):
    folder = write_dataset(tmp_path / "data", layout)
    assert verify_dataset(folder, decode) == []


def test_a_prepared_dataset(dataset):
    """Guards against a preparation and a verification that disagree."""
    assert verify_dataset(dataset, decode=True) == []


@pytest.mark.parametrize("at", [0, 9, 100, -1])
def test_a_flipped_bit_is_placed(data, at):
    path = first_shard(data)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    (fault,) = verify_dataset(data)
    assert fault.startswith(f"{path.name}: its bytes are not those")
    assert f"record {int(at == -1)}: its " in fault


def test_missing_extra_and_leftover_files(data):
    path = first_shard(data)
    path.rename(data / "other.tfrecord")
    (data / "manifest.partial.json").touch()
    for name in ("ledger.csv", "videos.csv", "labels.txt"):
        (data / name).unlink()
    (data / ".work").mkdir()
    (data / "notes.md").touch()  # a user's own
    assert [fault.split(":")[0] for fault in verify_dataset(data)] == [
        path.name,
        "manifest.partial.json",
        "other.tfrecord",
        "videos.csv",
        "ledger.csv",
        "labels.txt",
    ]


MOSAIC = (48, 64)  # 2 pairs of 20 x 28, padded to 24 x 32


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("video/label", 7), "video/label must be 0 to 1. Received: 7"),
        (put("video/label", 1), "video/label_text must be 'wälk'"),
        (put("video/label", 0, 0), "video/label must be one int"),
        (put("video/label_text", b"Other"), "video/label_text must be 'fall'"),
        (put("video/roles", b"v"), "video/roles must be 're'"),
        (put("video/id", b""), "video/id is empty"),
        (put("video/rate", float("nan")), "video/rate must be 0 or more, and finite"),
        (put("video/rate", float("inf")), "video/rate must be 0 or more, and finite"),
        (put("video/rate", 25), "video/rate must be one float. Received: [25]"),
        (put("video/frames", 2), "video/frames must be 3 or more"),
        (put("video/width", 300), "expected a JPEG of 20 x 300 pixels, colour"),
        (put("video/height", 28), "expected a JPEG of 28 x 28 pixels, colour"),
        (put("snippet/frame", 0, 1), "snippet/frame must have 3 items. Received: 2"),
        (put("snippet/frame", 1, 0, 3), "snippet/frame must not decrease"),
        (put("snippet/frame", 0, 1, 4), "snippet/frame must lie in 0 to 3"),
        (put("snippet/frame", -1, 1, 3), "snippet/frame must lie in 0 to 3"),
        (lambda e: e[0]["snippet/rgb"].pop(), "snippet/rgb must have 3 items"),
        (lambda e: e[0].pop("flow/dis"), "flow/dis is missing"),
        (put("flow/tvl1", b""), "'flow/tvl1' does not belong to the snippet layout"),
        (put_item("snippet/rgb", b"text"), "snippet/rgb, item 1: it is no JPEG"),
        (
            put_item("snippet/rgb", jpeg(HEIGHT, WIDTH + 1, True)),
            "expected a JPEG of 20 x 28 pixels, colour. Received: 20 x 29 pixels",
        ),
        (
            put_item("snippet/rgb", jpeg(HEIGHT, WIDTH, False)),
            "Received: 20 x 28 pixels, grayscale",
        ),
        (
            put_item("flow/dis", jpeg(*MOSAIC, True)),
            "flow/dis, item 1: expected a JPEG of 48 x 64 pixels, grayscale. Received: "
            "48 x 64 pixels, colour",
        ),
        (put_item("flow/dis", jpeg(24, 64, False)), "Received: 24 x 64 pixels"),
        (put_item("flow/dis", jpeg(40, 56, False)), "Received: 40 x 56 pixels"),
        (put_item("flow/dis", jpeg(*MOSAIC, False)[:-2]), "end of its JPEG is cut"),
        (put_item("flow/dis", jpeg(*MOSAIC, False)[:30]), "header is cut"),
        (
            lambda e: e[0].update({"flow/dis": [b"x", b"y", jpeg(*MOSAIC, False)]}),
            "flow/dis, item 0: it is no JPEG (and 1 more)",
        ),
    ],
)
def test_a_record_that_contradicts_its_manifest(data, change, words):
    name = rewrite(data, change)
    faults = verify_dataset(data)
    assert all(fault.startswith(f"{name}: record 0: ") for fault in faults)
    assert sum(words in fault for fault in faults) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e[0]["frame/rgb"].pop(), "frame/rgb must have 6 items"),
        (lambda e: e[0]["frame/flow/dis"].pop(), "frame/flow/dis must have 5 items"),
        (put("snippet/rgb", b""), "'snippet/rgb' does not belong to the dense layout"),
        (
            put_item("frame/flow/dis", jpeg(*MOSAIC, False)),
            "expected a JPEG of 24 x 64 pixels, grayscale",
        ),
    ],
)
def test_a_dense_record(dense, change, words):
    rewrite(dense, change)
    (fault,) = verify_dataset(dense)
    assert words in fault


def test_pixels_that_do_not_decode(data):
    """Guards against decoders that paint over damage: OpenCV's says nothing here."""
    draws = np.random.default_rng(1).integers(0, 255, MOSAIC, dtype=np.uint8)
    whole = cv2.imencode(".jpg", draws)[1].tobytes()
    cut = whole[: len(whole) // 2] + b"\xff\xd9"
    assert cv2.imdecode(np.frombuffer(cut, np.uint8), cv2.IMREAD_GRAYSCALE) is not None
    name = rewrite(data, put_item("flow/dis", cut))
    assert verify_dataset(data) == []
    (fault,) = verify_dataset(data, decode=True)
    assert fault == f"{name}: record 0: flow/dis, item 1: its JPEG cannot be decoded"


def test_two_images_in_one(data):
    whole = jpeg(*MOSAIC, False)
    rewrite(data, put_item("flow/dis", whole[:-2] + whole))
    (fault,) = verify_dataset(data)
    assert "interrupted by another marker" in fault


def test_a_record_that_is_no_example(data):
    path = first_shard(data)
    with open(path, "ab") as file:
        RecordWriter(file).write(b"\xff\xff")
    agree(data)
    assert verify_dataset(data) == [
        f"{path.name}: record 2: the record is no tf.train.Example",
        f"{path.name}: expected 2 records. Received: 3",
    ]


def test_a_record_lost(data):
    name = rewrite(data, lambda examples: examples.pop())
    assert verify_dataset(data) == [f"{name}: expected 2 records. Received: 1"]


def test_a_video_stored_twice(data):
    taken = read_index(data)[0]

    def change(examples):
        examples[1]["video/id"] = [taken.path.encode()]

    name = rewrite(data, change)
    (fault,) = [f for f in verify_dataset(data) if not f.startswith("videos.csv")]
    assert fault.startswith(f"{name}: record 1: its video ")
    assert f"is also record 0 of {taken.shard}" in fault
    assert "\n" not in fault  # the video's name has one


def test_a_group_on_two_sides(data):
    *others, last = read_index(data)
    *others, first = [row for row in others if row.roles == "re"]
    assert last.roles == "vu"
    write_index(
        data,
        [
            dataclasses.replace(row, group=last.group) if row == first else row
            for row in read_index(data)
        ],
    )

    def change(examples):
        examples[first.record]["video/group"] = [last.group.encode()]

    assert rewrite(data, change) == first.shard
    (fault,) = verify_dataset(data)
    assert fault.startswith(last.shard)
    assert "of group 'g3' is in validation of split 1, and others" in fault


def edit(change):
    """A change of the index's rows, given as a list."""

    def run(folder):
        rows = read_index(folder)
        change(rows)
        write_index(folder, rows)

    return run


def replace(number: int, **values):
    def change(rows):
        rows[number] = dataclasses.replace(rows[number], **values)

    return edit(change)


def swap_lines(folder: Path) -> None:
    text = (folder / "labels.txt").read_text(encoding="utf-8")
    lines = reversed(text.splitlines())
    (folder / "labels.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


ONES = ",1" * (len(COLUMNS) - 6)  # in the columns after `record`


def add_line(folder: Path, line: str, name: str = "videos.csv") -> None:
    with open(folder / name, "a", encoding="utf-8") as file:
        file.write(line + "\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replace(1, path="x.avi"), "videos.csv: 'x.avi': path must be 'wälk/v g1 c1"),
        (replace(1, label="fall"), "label must be 'wälk'"),
        (replace(1, group="g9"), "group must be 'g1'"),
        (replace(1, roles="rr"), "roles must be 'er'"),
        (replace(1, frames=5), "frames must be 6"),
        (replace(1, rate=29.0), "rate must be 29.97"),
        (replace(1, height=28), "height must be 20"),
        (replace(1, width=20), "width must be 28"),
        (replace(1, errors=-1), "errors must be 0 or more"),
        (edit(lambda rows: rows.pop(1)), "is missing: record 1 of small-er-"),
        (edit(lambda rows: rows.append(rows[0])), "two rows for one record"),
        (
            edit(lambda rows: rows.append(dataclasses.replace(rows[0], record=5))),
            "has no record 5",
        ),
        (
            edit(lambda rows: rows.append(dataclasses.replace(rows[0], shard="a"))),
            "videos.csv: it names a, which the manifest does not",
        ),
        (
            edit(lambda rows: rows.append(dataclasses.replace(rows[0], shard="z"))),
            "videos.csv: it names z, which the manifest does not",
        ),
        (lambda f: add_line(f, "a,b,c"), "is no index of videos: line 18: "),
        (lambda f: add_line(f, f"a,b,c,d,e,x{ONES}"), "line 18: invalid literal"),
        (
            lambda f: add_line(f, f"a,b,c,d,a,0{ONES}"),
            "must be sorted by shard. Received a after small-vu",
        ),
        (swap_lines, "labels.txt: expected the labels of manifest.json"),
        (lambda f: add_line(f, "a,eaten,0,0", "ledger.csv"), "Received: 'eaten'"),
        (
            lambda f: write_ledger(f, read_ledger(f) * 2),
            "ledger.csv: 'cut.avi' is there twice",
        ),
        (
            lambda f: write_ledger(f, [Rejected(read_index(f)[0].path, "damaged")]),
            "c0\\n.avi' is also record 0 of small-er-",
        ),
        (
            lambda f: write_ledger(f, []),
            "manifest.json: expected 9 inputs. Received: 8 videos in shards and 0",
        ),
        (lambda f: (f / "ledger.csv").unlink(), "ledger.csv: it is missing: prepare"),
    ],
)
def test_tables_that_contradict_the_records(data, change, words):
    change(data)
    faults = verify_dataset(data)
    (fault,) = [f for f in faults if words in f]
    assert "\n" not in fault
    # The count of inputs changes with a row more.
    assert all(f == fault or f.startswith("manifest.json: expected 9") for f in faults)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"videos": 9}, "expected 9 videos. Its shards have 8"),
        ({"labels": ["fall", "walk"]}, "video/label_text must be 'walk'"),
        ({"size": "320x240"}, "expected a size of 320x240. Received: 28x20"),
        ({"size": "16"}, "expected a short side of at most 16. Received: 28x20"),
        ({"snippets": 4}, "snippet/frame must have 4 items"),
        ({"rgb_per_snippet": 2}, "snippet/rgb must have 6 items"),
        ({"inputs": 0}, "manifest.json: expected 0 inputs. Received: 8 videos in"),
    ],
)
def test_a_manifest_that_the_records_contradict(data, change, words):
    path = data / "manifest.json"
    block = json.loads(path.read_text())
    path.write_text(json.dumps({**block, **change}))
    assert any(words in fault for fault in verify_dataset(data))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"roles": "rx"}, "must be 2 of the letters r, e, v, u. Received: 'rx'"),
        ({"roles": "r"}, "must be 2 of the letters r, e, v, u. Received: 'r'"),
        ({"file": "../x.tfrecord"}, "'../x.tfrecord'"),
    ],
)
def test_a_manifest_whose_shards_are_odd(data, change, words):
    path = data / "manifest.json"
    block = json.loads(path.read_text())
    block["shards"][-1].update(change)
    path.write_text(json.dumps(block))
    try:
        faults = verify_dataset(data)
    except UserError as error:  # no manifest at all
        faults = [str(error)]
    assert any(words in fault for fault in faults)


def test_a_dataset_made_by_hand(data):
    """Without a list of inputs, and so without a ledger of those left out."""
    write_ledger(data, [])
    dataclasses.replace(Manifest.load(data), inputs=0).save(data)
    assert verify_dataset(data) == []


def test_each_field_has_its_own_pairs(tmp_path):
    codes = {"dis": (148, 128), "tvl1": (128, 128)}
    data = write_dataset(tmp_path / "data", codes=codes, pairs={"tvl1": 1})
    assert verify_dataset(data) == []
    rewrite(data, put_item("flow/tvl1", jpeg(*MOSAIC, False)))
    (fault,) = verify_dataset(data)
    assert "flow/tvl1, item 1: expected a JPEG of 24 x 64 pixels" in fault


def test_faults_come_as_they_are_found(data):
    """Guards against hours of silence: the first shard's before the second is read."""
    first, second, *_ = sorted(shard.file for shard in Manifest.load(data).shards)
    for name in (first, second):
        (data / name).write_bytes(b"")
    faults = dataset_faults(data)
    assert next(faults).startswith(f"{first}: expected ")
    (data / second).unlink()
    assert next(faults).startswith(f"{second}: missing")


def test_no_name_breaks_a_line(data, capsys):
    """One line per fault, whatever file and folder are called."""
    folder = data.rename(data.parent / "a\nb")
    (folder / "c\n\udcff.tfrecord").touch()
    (folder / "videos.csv").unlink()
    assert not report(str(folder), CacheConfig())
    assert capsys.readouterr().out.splitlines() == [
        f"{data.parent}/a\\nb/c\\n\\udcff.tfrecord: the manifest does not name it",
        f"{data.parent}/a\\nb/videos.csv: it is missing: prepare the dataset again",
    ]


@pytest.fixture
def begun(data) -> Path:
    """A dataset with the first shard of an addition that was stopped."""
    (data / ".work").mkdir()
    (data / ".work" / "addition.json").write_text('{"number": 2, "videos": []}')
    (data / "small-add2-re-00000-of-00003.tfrecord").touch()
    return data


def test_an_unfinished_addition_is_no_fault(begun, capsys):
    assert report(str(begun), CacheConfig())
    note, sound = capsys.readouterr().out.splitlines()
    assert note == (
        f"{begun}: note: an addition to it is unfinished: finish it with the same "
        "--add command"
    )
    assert sound.startswith(f"{begun}: sound: 8 videos in 4 shards")


@pytest.mark.parametrize(
    "name", ["small-add1-re-00000-of-00001.tfrecord", "x.tfrecord"]
)
def test_other_shards_beside_an_addition_are_faults(begun, name):
    (begun / name).touch()
    assert verify_dataset(begun) == [f"{name}: the manifest does not name it"]


def test_shards_of_an_addition_that_nobody_remembers(begun):
    for text in ("{", "[]", "{}"):
        (begun / ".work" / "addition.json").write_text(text)
        assert len(verify_dataset(begun)) == 1


def test_an_addition_that_only_has_to_tidy_up(begun, capsys):
    """Its manifest is written: there is nothing to finish."""
    manifest = Manifest.load(begun)
    (new,) = begun.glob("*-add2-*")
    shards = (*manifest.shards, Shard(new.name, "re", 0, 0, sha256(new)))
    dataclasses.replace(manifest, shards=shards).save(begun)
    assert report(str(begun), CacheConfig())
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_what_is_no_dataset(tmp_path):
    with pytest.raises(UserError, match="data_prep"):
        verify_dataset(tmp_path)


def test_the_command(data, tmp_path):
    """One line where all is well; a line per fault, and a status, where not."""
    other = write_dataset(tmp_path / "other")
    (other / "labels.txt").unlink()

    def run(*arguments):
        code = "from data_prep.checking import verify; verify.run()"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True,
            cwd=Path(__file__).parents[3], timeout=60,
        )  # fmt: skip

    both = run(str(data), str(other), "--decode")
    assert both.returncode == 1, both.stderr
    size = sum(shard.bytes for shard in Manifest.load(data).shards)
    assert both.stdout.splitlines() == [
        f"{data}: sound: 8 videos in 4 shards, {size / 1e6:.1f} MB",
        f"{other}/labels.txt: it is missing",
    ]
    assert run(str(data)).returncode == 0
    none = run()
    assert none.returncode == 1
    assert none.stderr == "error: verify needs a dataset directory. Received: none\n"


def test_labels_are_not_ascii():
    """Guards the tests above: names must go through every encoding."""
    assert not all(label.isascii() for label in LABELS)
