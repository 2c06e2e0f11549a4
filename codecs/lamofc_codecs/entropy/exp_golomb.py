"""A few whole numbers in few bits: Exp-Golomb codes, for the values that no entropy table holds.

The bytes are k, then a stream of bits, the lowest bit of each byte first, padded with zeros. A number v is n zero bits,
a one bit, and the lowest n bits of m, where m = (v >> k) + 1 has n + 1 bits; then the lowest k bits of v.
"""

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.runtime import as_bytes, compiled

MAX_BITS = 40
"""Numbers below 2 ** 40."""

Numbers = NDArray[np.int64]


def write_numbers(values: Numbers) -> bytes:
    """Code numbers of 0 to 2 ** 40 - 1 with the k that makes them shortest."""
    best = int(_best(values))
    out = np.zeros((int(_cost(values, best)) + 7) // 8, np.uint8)
    _write(values, best, out)
    return bytes((best,)) + out.tobytes()


def read_numbers(data: memoryview, count: int) -> tuple[Numbers, int]:
    """Read `count` numbers; also say how many bytes they took."""
    if not data or data[0] >= MAX_BITS or count > 8 * (len(data) - 1):
        raise CorruptRecord(f"{count} numbers cannot stand in {len(data)} bytes that begin with {bytes(data[:1])!r}")
    values = np.empty(count, np.int64)
    bits = int(_read(as_bytes(data[1:]), data[0], values))
    if bits < 0:
        raise CorruptRecord(f"a list of {count} numbers runs past its {len(data)} bytes, or its padding is not zero")
    return values, 1 + (bits + 7) // 8


@compiled
def _length(number: np.int64) -> np.int64:
    """How many bits stand after the highest one."""
    bits = np.int64(0)
    while number > 1:
        number >>= np.int64(1)
        bits += np.int64(1)
    return bits


@compiled
def _cost(values: Numbers, k: int) -> np.int64:
    total = np.int64(0)
    for value in values:
        total += np.int64(2) * _length((value >> np.int64(k)) + np.int64(1)) + np.int64(1 + k)
    return total


@compiled
def _best(values: Numbers) -> np.int64:
    best, least = np.int64(0), _cost(values, 0)
    for k in range(1, MAX_BITS):
        cost = _cost(values, k)
        if cost < least:
            best, least = np.int64(k), cost
    return best


@compiled
def _write(values: Numbers, k: int, out: NDArray[np.uint8]) -> None:
    at = np.int64(0)
    for value in values:
        number = (value >> np.int64(k)) + np.int64(1)
        length = _length(number)
        at += length
        out[at >> 3] |= np.uint8(1) << np.uint8(at & 7)
        at += np.int64(1)
        for bit in range(length):
            out[at >> 3] |= np.uint8((number >> np.int64(bit)) & 1) << np.uint8(at & 7)
            at += np.int64(1)
        for bit in range(k):
            out[at >> 3] |= np.uint8((value >> np.int64(bit)) & 1) << np.uint8(at & 7)
            at += np.int64(1)


@compiled
def _read(data: NDArray[np.uint8], k: int, values: Numbers) -> np.int64:
    """Bits read, or -1."""
    at, end = np.int64(0), np.int64(8 * len(data))
    for i in range(len(values)):
        length = np.int64(0)
        while at < end and not (data[at >> 3] >> np.uint8(at & 7)) & 1:
            at += np.int64(1)
            length += np.int64(1)
        if length + np.int64(k) > MAX_BITS or at + np.int64(1) + length + np.int64(k) > end:
            return np.int64(-1)
        at += np.int64(1)
        number = np.int64(1) << length
        for bit in range(length):
            number |= np.int64((data[at >> 3] >> np.uint8(at & 7)) & 1) << np.int64(bit)
            at += np.int64(1)
        value = (number - np.int64(1)) << np.int64(k)
        for bit in range(k):
            value |= np.int64((data[at >> 3] >> np.uint8(at & 7)) & 1) << np.int64(bit)
            at += np.int64(1)
        values[i] = value
    for bit in range(at, min(end, (at + 7) // 8 * 8)):
        if (data[bit >> 3] >> np.uint8(bit & 7)) & 1:
            return np.int64(-1)
    return at
