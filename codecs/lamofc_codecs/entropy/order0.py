"""A plane of bytes in the shortest of four forms: stored, constant, or coded by rANS with one of two tables.

One table is the plane's own and is written before it; the other one is in the profile.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy.histogram import count_symbols, normalise, pack_table, unpack_table
from lamofc_codecs.entropy.rans import decode_symbols, encode_symbols
from lamofc_codecs.entropy.rans_layout import choose_layout
from lamofc_codecs.entropy.tables import Tables
from lamofc_codecs.errors import CorruptRecord

_STORE_FROM_RATIO = 1 - 1 / 64
"""Planes whose entropy is above this share of their bytes are stored. Mantissas save one per cent and slow decoding."""

Bytes = NDArray[np.uint8]


class Form(IntEnum):
    """The form of a plane; its number is written before the plane."""

    STORED = 0
    """The bytes of the plane."""
    CONSTANT = 1
    """One byte, the value of all."""
    OWN_TABLE = 2
    """A table as `pack_table` writes it, then a rANS block."""
    PROFILE_TABLE = 3
    """A rANS block with the table of the profile."""


def write_plane(plane: Bytes, profile_table: Tables | None = None) -> tuple[Form, bytes | memoryview]:
    """Write a plane in its shortest form, a stored one as a view.

    Without a profile table, a plane of noise is stored for faster decoding.
    """
    counts = count_symbols(plane)
    if len(plane) and counts.max() == len(plane):
        return Form.CONSTANT, plane[:1].tobytes()
    if profile_table is None and entropy_bytes(counts) >= len(plane) * _STORE_FROM_RATIO:
        return Form.STORED, plane.data
    sizes: dict[Form, float] = {Form.STORED: len(plane)}
    own = normalise(counts)
    sizes[Form.OWN_TABLE] = len(pack_table(own)) + _coded_size(counts, own)
    if profile_table is not None and not counts[profile_table.freqs[0] == 0].any():
        sizes[Form.PROFILE_TABLE] = _coded_size(counts, profile_table.freqs[0])
    form = min(sizes, key=lambda name: (sizes[name], name))
    if form is Form.OWN_TABLE:
        return form, pack_table(own) + encode_symbols(plane, 0, Tables.of(own))
    if form is Form.PROFILE_TABLE and profile_table is not None:
        return form, encode_symbols(plane, 0, profile_table)
    return Form.STORED, plane.data


def entropy_bytes(counts: NDArray[np.int64]) -> float:
    """Return the entropy of a histogram in bytes, the lower bound of any one table."""
    used = counts[counts > 0].astype(np.float64)
    return float((used * np.log2(used.sum() / used)).sum()) / 8


def _coded_size(counts: NDArray[np.int64], freqs: NDArray[np.uint16]) -> float:
    """Estimate the bytes of a rANS block, to within a part in a thousand."""
    used = counts > 0
    coded = float((counts[used] * (12 - np.log2(freqs[used].astype(np.float64)))).sum()) / 8
    lanes, streams = choose_layout(int(counts.sum()), int(coded))
    return coded + 4 * streams * (lanes + 1)


def decode_plane(form: int, data: memoryview, count: int) -> Bytes:
    """Return a plane of `count` bytes, of one that is stored a view of `data`."""
    if form == Form.STORED and len(data) == count:
        return np.frombuffer(data, np.uint8)
    plane = np.empty(count, np.uint8)
    read_plane(form, data, plane)
    return plane


def read_plane(form: int, data: memoryview, out: Bytes, profile_table: Tables | None = None) -> None:
    """Read a plane of len(out) bytes from `data`, which holds nothing else."""
    if form == Form.STORED and len(data) == len(out):
        out[:] = np.frombuffer(data, np.uint8)
    elif form == Form.CONSTANT and len(data) == 1 and len(out):
        out[:] = data[0]
    elif form == Form.OWN_TABLE:
        table, used = unpack_table(data)
        decode_symbols(data[used:], len(out), 0, Tables.of(table), out=out)
    elif form == Form.PROFILE_TABLE and profile_table is not None:
        decode_symbols(data, len(out), 0, profile_table, out=out)
    else:
        raise CorruptRecord(f"a plane of {len(out)} bytes in form {form} cannot be stored in {len(data)} bytes")
