"""Records that TensorFlow reads, and damage that no reader misses."""

import io

import numpy as np
import pytest

from stfn_keras.data.records import (
    RecordError,
    RecordWriter,
    decode_example,
    encode_example,
    read_records,
)

FEATURES = {
    "video/id": "a/ü.avi",
    "video/label": 3,
    "video/rate": 29.97,
    "snippet/frame": [0, 5, 10],
    "snippet/rgb": [b"\xff\xd8", b"", b"\x00"],
}


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "a.tfrecord"
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        for label in range(3):
            writer.write(encode_example({**FEATURES, "video/label": label}))
    return path


def test_tensorflow_parses_our_examples():
    tf = pytest.importorskip("tensorflow")
    parsed = tf.io.parse_single_example(
        encode_example(FEATURES),
        {
            "video/id": tf.io.FixedLenFeature([], tf.string),
            "video/label": tf.io.FixedLenFeature([], tf.int64),
            "video/rate": tf.io.FixedLenFeature([], tf.float32),
            "snippet/frame": tf.io.FixedLenFeature([3], tf.int64),
            "snippet/rgb": tf.io.FixedLenFeature([3], tf.string),
        },
    )
    assert parsed["video/id"].numpy().decode() == "a/ü.avi"
    assert parsed["video/label"].numpy() == 3
    assert parsed["video/rate"].numpy() == np.float32(29.97)
    assert parsed["snippet/frame"].numpy().tolist() == [0, 5, 10]
    assert parsed["snippet/rgb"].numpy().tolist() == FEATURES["snippet/rgb"]


def test_tensorflow_reads_our_files_and_we_read_its(shard, tmp_path):
    tf = pytest.importorskip("tensorflow")
    ours = list(read_records(shard))
    read = [record.numpy() for record in tf.data.TFRecordDataset(str(shard))]
    assert read == ours
    assert len(ours) == 3
    theirs = tmp_path / "b.tfrecord"
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        for record in ours:
            writer.write(record)
    assert theirs.read_bytes() == shard.read_bytes()


def test_round_trip():
    decoded = decode_example(encode_example(FEATURES))
    assert decoded["video/id"] == ["a/ü.avi".encode()]
    assert decoded["snippet/frame"] == [0, 5, 10]
    assert decoded["video/rate"] == [pytest.approx(29.97)]


def test_names_that_are_not_utf8_keep_their_bytes():
    name = b"caf\xe9.avi".decode("utf-8", "surrogateescape")
    assert decode_example(encode_example({"a": name}))["a"] == [b"caf\xe9.avi"]


def test_the_order_of_features_does_not_matter():
    backwards = dict(reversed(FEATURES.items()))
    assert encode_example(FEATURES) == encode_example(backwards)


def test_whole_floats_stay_floats():
    """Guards against a rate of 25.0 that becomes an integer feature."""
    assert isinstance(decode_example(encode_example({"r": 25.0}))["r"][0], float)


def test_every_flipped_byte_is_seen(shard):
    data = shard.read_bytes()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 4
        shard.write_bytes(changed)
        with pytest.raises(RecordError, match="record"):
            list(read_records(shard))


def test_every_cut_inside_a_record_is_seen(shard):
    data = shard.read_bytes()
    boundaries = {0}
    with io.BytesIO() as file:
        for record in read_records(shard):
            RecordWriter(file).write(record)
            boundaries.add(file.tell())
    for end in set(range(len(data))) - boundaries:
        shard.write_bytes(data[:end])
        with pytest.raises(RecordError, match="cut"):
            list(read_records(shard))


def test_what_is_no_example():
    with pytest.raises(RecordError, match="Example"):
        decode_example(b"\xff\xff\xff")
