"""The Zarr v3 metadata of what a segment holds: standard codecs alone, so that every Zarr reader opens it."""

import struct
from collections.abc import Sequence
from typing import Any

from lamofc_store.storage.sealed_json import canonical, crc32c

CHUNK = 1 << 16
"""Bytes of an inner chunk of the payload."""

_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
_CRC = {"name": "crc32c", "configuration": {}}


def group(attributes: dict[str, Any] | None = None) -> bytes:
    """`zarr.json` of a group."""
    return canonical({"zarr_format": 3, "node_type": "group", "attributes": attributes or {}})


def array(length: int, data_type: str, axes: Sequence[str] | None = None) -> bytes:
    """`zarr.json` of a one-dimensional array in one chunk with a checksum."""
    codecs = [_LITTLE if data_type != "uint8" else {"name": "bytes"}, _CRC]
    return described([length], data_type, [max(1, length)], codecs, axes=axes)


def payload(length: int) -> bytes:
    """`zarr.json` of the payload: one shard of 64 KiB chunks that hold the bytes as they are."""
    sharding = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [CHUNK],
            "codecs": [{"name": "bytes"}],
            "index_codecs": [_LITTLE, _CRC],
            "index_location": "end",
        },
    }
    return described([length], "uint8", [padded(length)], [sharding])


def padded(length: int) -> int:
    """The payload's length filled up to whole chunks."""
    return -(-length // CHUNK) * CHUNK


def shard_index(length: int) -> bytes:
    """What follows the padded payload: where each chunk lies, with a checksum."""
    places = b"".join(struct.pack("<QQ", start, CHUNK) for start in range(0, padded(length), CHUNK))
    return places + struct.pack("<I", crc32c(places))


def with_crc(data: bytes) -> bytes:
    """A chunk of an array of `array`."""
    return data + struct.pack("<I", crc32c(data))


def described(
    shape: Sequence[int],
    data_type: str,
    chunk: Sequence[int],
    codecs: list[dict[str, Any]],
    *,
    fill: Any = 0,
    axes: Sequence[str] | None = None,
) -> bytes:
    """`zarr.json` of any array."""
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": codecs,
        "attributes": {},
        "storage_transformers": [],
    }
    return canonical(document if axes is None else {**document, "dimension_names": list(axes)})
