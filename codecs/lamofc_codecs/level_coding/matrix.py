"""Coded matrices: integers of a profile, whose spread changes along each row, to bytes and back."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import classes_of, read_plane, shape_of_classes, write_plane
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.level_coding.block import MAX_LEVELS_PER_BYTE
from lamofc_codecs.level_coding.low_bits import Levels
from lamofc_codecs.level_coding.run_layout import RunLayout

_RUN = 128
"""Numbers of a row that share a class."""
_LENGTH = struct.Struct("<I")
_LARGEST_CLASS = 137
_MAX_ROWS, _MAX_VALUES = 1 << 16, 1 << 28
"""Rows and values of a coded matrix, at the most: a reader allocates memory for all of them."""
_MIN_RMS = 2.0**-4
"""Root of the mean square of a run, at the least, that its class is chosen for."""


def is_codable(rows: int, columns: int) -> bool:
    """Whether a matrix is within the bounds of coded matrices."""
    return rows <= _MAX_ROWS and rows * columns <= _MAX_VALUES


def write_matrix(matrix: Levels) -> bytes:
    """Code rows x columns of integers, each at most 2^22 in magnitude: a class for each run, then a block of levels."""
    rows, columns = matrix.shape
    firsts = np.arange(0, columns, _RUN)
    sums = np.add.reduceat(np.square(matrix, dtype=np.float64), firsts, axis=1) if matrix.size else np.empty((rows, 0))
    rms = np.sqrt(sums / np.diff(firsts, append=columns))
    classes = classes_of(np.maximum(rms, _MIN_RMS).astype(np.float32), np.float32(1)).reshape(-1)
    form, plane = write_plane(classes)
    block = _layout(classes, columns).write(np.ascontiguousarray(matrix, np.int32))
    return b"".join((_LENGTH.pack(1 + len(plane)), bytes((form,)), plane, block))


def read_matrix(data: memoryview, rows: int, columns: int) -> Levels:
    """Invert `write_matrix`; CorruptRecord for damage."""
    if not is_codable(rows, columns):
        raise CorruptRecord(
            f"a matrix of {rows} x {columns} is coded; expected at most {_MAX_ROWS} rows and {_MAX_VALUES} values",
            "fit the profile again",
        )
    if rows * columns > len(data) * MAX_LEVELS_PER_BYTE:
        raise CorruptRecord(f"{len(data)} bytes for a matrix of {rows} x {columns}")
    end = _LENGTH.size + (_LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else 0)
    if not _LENGTH.size < end <= len(data):
        raise CorruptRecord(f"{len(data)} bytes for a matrix, of which {end} are said to hold classes")
    classes = np.empty(rows * -(-columns // _RUN), np.uint8)
    read_plane(data[_LENGTH.size], data[_LENGTH.size + 1 : end], classes)
    if classes.max(initial=0) > _LARGEST_CLASS:
        raise CorruptRecord(f"class {classes.max()} of a run of a matrix; the largest is {_LARGEST_CLASS}")
    return _layout(classes, columns).read(data[end:], rows, columns)


def _layout(classes: NDArray[np.uint8], columns: int) -> RunLayout:
    """Lay out the runs by table, then by class, then as they stand in the matrix."""
    row, place = np.divmod(np.arange(len(classes)), max(1, -(-columns // _RUN)))
    order = np.argsort(shape_of_classes()[0][classes] << 8 | classes, kind="stable")
    first = _RUN * place[order]
    return RunLayout((row[order], first, np.minimum(_RUN, columns - first)), classes[order])
