"""TFRecord files of `tf.train.Example` records, without TensorFlow.

    with open("a.tfrecord", "wb") as file:
        RecordWriter(file).write(encode_example({"video/label": 3}))
    for record in read_records("a.tfrecord"):
        example = decode_example(record)

A preparation worker that imported TensorFlow would take twice the time.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, BinaryIO

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

Value = bytes | str | int | float

_MASK_DELTA = 0xA282EAD8
_FIELD = descriptor_pb2.FieldDescriptorProto


class RecordError(ValueError):
    """A TFRecord file that is cut or altered."""


class RecordWriter:
    """Writes records to an open binary file: length, checksum, data, checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, record: bytes) -> None:
        """Append one record."""
        length = struct.pack("<Q", len(record))
        for part in (length, _checksum(length), record, _checksum(record)):
            self._file.write(part)  # apart: a dense record is large


def read_records(path: str | PathLike) -> Iterator[bytes]:
    """Yield a file's records, checking every length and checksum.

    Raises:
        RecordError: The file is cut or altered; says at which record.
    """
    with open(path, "rb") as file:
        index = 0
        while header := file.read(12):
            length, check = header[:8], header[8:]
            if _checksum(length) != check:
                raise RecordError(f"record {index}: its length is cut or altered")
            (size,) = struct.unpack("<Q", length)
            data = file.read(size)
            if len(data) < size or _checksum(data) != file.read(4):
                raise RecordError(f"record {index}: its data are cut or altered")
            yield data
            index += 1


def encode_example(features: Mapping[str, Value | Sequence[Value]]) -> bytes:
    """Encode a `tf.train.Example`; the same features give the same bytes.

    Args:
        features: Bytes, text, whole numbers or floats by name, or lists of them.
    """
    example = _Example()
    for name, value in features.items():
        values = [value] if isinstance(value, bytes | str | int | float) else value
        feature = example.features.feature[name]
        if all(isinstance(item, int) for item in values):
            feature.int64_list.value.extend(values)
        elif all(isinstance(item, int | float) for item in values):
            feature.float_list.value.extend(values)
        else:
            encoded = (to_bytes(v) if isinstance(v, str) else v for v in values)
            feature.bytes_list.value.extend(encoded)
    return example.SerializeToString(deterministic=True)


def decode_example(record: bytes) -> dict[str, list]:
    """Decode a `tf.train.Example` to lists of bytes, ints or floats by name.

    Raises:
        RecordError: The bytes are no Example.
    """
    try:
        example = _Example.FromString(record)
    except DecodeError as error:
        raise RecordError("the record is no tf.train.Example") from error
    decoded = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        decoded[name] = list(getattr(feature, kind).value) if kind else []
    return decoded


def to_bytes(text: str) -> bytes:
    """UTF-8, or the bytes of a file name that is not UTF-8 as they were."""
    return text.encode("utf-8", "surrogateescape")


def _checksum(data: bytes) -> bytes:
    """TFRecord's masked CRC-32C, as 4 bytes."""
    crc = google_crc32c.value(data)
    masked = ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
    return struct.pack("<I", masked)


def _example_class() -> Any:
    """Build `tf.train.Example` in a pool of its own.

    TensorFlow registers the same names in the default pool when it is imported.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="stfn_keras/example.proto", package="tensorflow", syntax="proto3"
    )
    for name, kind in (
        ("BytesList", _FIELD.TYPE_BYTES),
        ("FloatList", _FIELD.TYPE_FLOAT),
        ("Int64List", _FIELD.TYPE_INT64),
    ):
        message = file.message_type.add(name=name)
        message.field.add(
            name="value", number=1, type=kind, label=_FIELD.LABEL_REPEATED
        )
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), 1):
        kind_name = "".join(part.title() for part in name.split("_"))
        field = _message_field(feature, name, number, f".tensorflow.{kind_name}")
        field.oneof_index = 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(
        name="key", number=1, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL
    )
    _message_field(entry, "value", 2, ".tensorflow.Feature")
    field = _message_field(features, "feature", 1, ".tensorflow.Features.FeatureEntry")
    field.label = _FIELD.LABEL_REPEATED
    example = file.message_type.add(name="Example")
    _message_field(example, "features", 1, ".tensorflow.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("tensorflow.Example")
    )


def _message_field(message: Any, name: str, number: int, kind: str) -> Any:
    return message.field.add(
        name=name,
        number=number,
        type=_FIELD.TYPE_MESSAGE,
        type_name=kind,
        label=_FIELD.LABEL_OPTIONAL,
    )


_Example = _example_class()
