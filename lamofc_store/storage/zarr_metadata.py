"""Zarr v3 metadata of a segment, by standard codecs alone, so that every Zarr reader opens it."""

import struct
from collections.abc import Sequence
from typing import Any

from lamofc_store.storage.sealed_json import canonical_json, crc32c

CHUNK_BYTES = 1 << 16
"""Length of an inner chunk of the payload."""

_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
_CRC = {"name": "crc32c", "configuration": {}}


def group(attributes: dict[str, Any] | None = None) -> bytes:
    """Write `zarr.json` of a group."""
    return canonical_json({"zarr_format": 3, "node_type": "group", "attributes": attributes or {}})


def array(length: int, data_type: str, axes: Sequence[str] | None = None) -> bytes:
    """Write `zarr.json` of a one-dimensional array in one chunk with a checksum."""
    codecs = [_LITTLE if data_type != "uint8" else {"name": "bytes"}, _CRC]
    return array_document([length], data_type, [max(1, length)], codecs, axes=axes)


def payload(length: int) -> bytes:
    """Write `zarr.json` of the payload: one shard of 64 KiB chunks that hold the bytes as they are."""
    sharding = {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": [CHUNK_BYTES],
            "codecs": [{"name": "bytes"}],
            "index_codecs": [_LITTLE, _CRC],
            "index_location": "end",
        },
    }
    return array_document([length], "uint8", [padded_length(length)], [sharding])


def padded_length(length: int) -> int:
    """Round the payload's length up to whole chunks."""
    return -(-length // CHUNK_BYTES) * CHUNK_BYTES


def shard_index(length: int) -> bytes:
    """Write the index after the padded payload: start and length of each chunk, and a checksum."""
    index = b"".join(struct.pack("<QQ", start, CHUNK_BYTES) for start in range(0, padded_length(length), CHUNK_BYTES))
    return index + struct.pack("<I", crc32c(index))


def append_crc(data: bytes) -> bytes:
    """Append the checksum that a chunk of an array by `array` ends with."""
    return data + struct.pack("<I", crc32c(data))


def array_document(
    shape: Sequence[int],
    data_type: str,
    chunk: Sequence[int],
    codecs: list[dict[str, Any]],
    *,
    fill: Any = 0,
    axes: Sequence[str] | None = None,
) -> bytes:
    """Write `zarr.json` of any array."""
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
    return canonical_json(document if axes is None else {**document, "dimension_names": list(axes)})
