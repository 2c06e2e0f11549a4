"""A plane of bytes in the shortest of four forms: as it is, one value for all, or entropy-coded with one table.

The table is the plane's own and stands in front of it, or one that both sides know.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy.histogram import count_symbols, normalise, pack_table, unpack_table
from lamofc_codecs.entropy.rans import decode_symbols, encode_symbols
from lamofc_codecs.entropy.rans_layout import plan
from lamofc_codecs.entropy.tables import Tables
from lamofc_codecs.errors import CorruptRecord

_WORTH = 1 - 1 / 64
"""A plane that shrinks by less is stored: mantissas do by a part in a hundred, and would cost a decoder its speed."""

Bytes = NDArray[np.uint8]


class Form(IntEnum):
    """How a plane is written; the number stands before it."""

    STORED = 0
    """The bytes."""
    CONSTANT = 1
    """The one byte that all of them are."""
    OWN = 2
    """Their table as `pack_table` writes it, then a rANS block."""
    GIVEN = 3
    """A rANS block under the table that the profile gives."""


def write_plane(plane: Bytes, given: Tables | None = None) -> tuple[Form, bytes]:
    """Choose the form by size and write it; a plane of noise is stored, though a table might save a little."""
    counts = count_symbols(plane)
    if len(plane) and counts.max() == len(plane):
        return Form.CONSTANT, plane[:1].tobytes()
    if given is None and entropy(counts) >= len(plane) * _WORTH:
        return Form.STORED, plane.tobytes()
    sizes: dict[Form, float] = {Form.STORED: len(plane)}
    own = normalise(counts)
    sizes[Form.OWN] = len(pack_table(own)) + _size(counts, own)
    if given is not None and not counts[given.freqs[0] == 0].any():
        sizes[Form.GIVEN] = _size(counts, given.freqs[0])
    form = min(sizes, key=lambda name: (sizes[name], name))
    if form is Form.OWN:
        return form, pack_table(own) + encode_symbols(plane, 0, Tables.of(own))
    if form is Form.GIVEN and given is not None:
        return form, encode_symbols(plane, 0, given)
    return Form.STORED, plane.tobytes()


def entropy(counts: NDArray[np.int64]) -> float:
    """Bytes that no table could go below."""
    used = counts[counts > 0].astype(np.float64)
    return float((used * np.log2(used.sum() / used)).sum()) / 8


def _size(counts: NDArray[np.int64], freqs: NDArray[np.uint16]) -> float:
    """Bytes of a rANS block, within a part in a thousand."""
    used = counts > 0
    coded = float((counts[used] * (12 - np.log2(freqs[used].astype(np.float64)))).sum()) / 8
    lanes, streams = plan(int(counts.sum()), int(coded))
    return coded + 4 * streams * (lanes + 1)


def read_plane(form: int, data: memoryview, out: Bytes, given: Tables | None = None) -> None:
    """Fill `out`, whose length is the plane's, from bytes that hold it and nothing else."""
    if form == Form.STORED and len(data) == len(out):
        out[:] = np.frombuffer(data, np.uint8)
    elif form == Form.CONSTANT and len(data) == 1 and len(out):
        out[:] = data[0]
    elif form == Form.OWN:
        table, used = unpack_table(data)
        decode_symbols(data[used:], len(out), 0, Tables.of(table), out=out)
    elif form == Form.GIVEN and given is not None:
        decode_symbols(data, len(out), 0, given, out=out)
    else:
        raise CorruptRecord(f"a plane of {len(out)} bytes in form {form} cannot stand in {len(data)} bytes")
