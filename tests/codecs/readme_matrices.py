"""The part of the decoder written from codecs/README.md that reads blocks of levels, and coded matrices of `klt`."""

import struct
from types import ModuleType
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
F = np.float32


def uncoded(tensors: dict[str, Array], tables: Any, plain: ModuleType) -> dict[str, Array]:
    """The tensors of a profile, with basis and means in place of what is coded."""
    if "basis_coded" not in tensors:
        return tensors
    columns, scale = len(tensors["sigma"]), tensors["basis_scale"]
    basis = matrix(tensors["basis_coded"].tobytes(), columns, len(scale), tables, plain)
    found = {**tensors, "basis": basis}
    if "means_coded" in tensors:
        count = int(tensors["means_count"][0])
        numbers = matrix(tensors["means_coded"].tobytes(), columns, count, tables, plain)
        stride = tensors.get("basis_stride", np.ones(columns)).astype(np.int64)
        sums = (numbers << tensors["means_shift"][:, None].astype(np.int64)).T * stride @ basis
        d = np.maximum(-(-np.abs(sums).max(0) // 127), 1)
        found["means"] = (2 * sums + d) // (2 * d)
        found["means_scale"] = (scale.astype(np.float64) * d * np.float64(tensors["means_step"][0])).astype(F)
    return found


def matrix(data: bytes, rows: int, columns: int, tables: Any, plain: ModuleType) -> Array:
    """A coded matrix."""
    size = struct.unpack_from("<I", data)[0]
    starts = [(row, place) for row in range(rows) for place in range(0, columns, 128)]
    kinds = plain.plane(data[4], data[5 : 4 + size], len(starts), None).tolist()
    where = {run: [(row, c) for c in range(at, min(at + 128, columns))] for run, (row, at) in enumerate(starts)}
    shape = {run: (k, k, 0) if k < 48 else (k, 42 + (k - 48) % 6, 1 + (k - 48) // 6) for run, k in enumerate(kinds)}
    order = sorted(shape, key=lambda run: (shape[run][1], shape[run][0], run))
    found = np.zeros((rows, columns), np.int64)
    places = [(shape[run], place) for run in order for place in where[run]]
    for number, (_, place) in zip(levels(data[4 + size :], [s for s, _ in places], tables, plain), places, strict=True):
        found[place] = number
    return found


def levels(data: bytes, shapes: list[tuple[int, int, int]], tables: Any, plain: ModuleType) -> list[int]:
    """A block of levels, given the class, the table and the low bits of each."""
    size, count = struct.unpack_from("<I", data)[0], len(shapes)
    rows = [shapes[min(32 * row + 31, count - 1)][1] for row in range(-(-count // 32))]
    symbols = plain.rans(data[4 : 4 + size], count, [tables.freqs[table].astype(np.int64) for table in rows])
    low_size = (sum(s for _, _, s in shapes) + 7) // 8
    low, rest = plain.Bits(data[4 + size : 4 + size + low_size]), data[4 + size + low_size :]
    escaped, found = iter(plain.numbers(rest, symbols.count(128))[0] if rest else []), []
    for symbol, (_, table, s) in zip(symbols, shapes, strict=True):
        if symbol == 128:
            beyond = next(escaped)
            u = (beyond // 2 + int(tables.radii[table]) + 1) * (-1 if beyond & 1 else 1)
        else:
            u = symbol - 256 if symbol > 128 else symbol
        found.append((u << s) + low.take(s) - (1 << s >> 1))
    return found
