"""Exponential Golomb codes for lists of integers that no probability table holds: lengths, distances, escapes.

The bytes are k, then a sequence of bits, the lowest bit of each byte first, padded with zeros. A number v is n zero
bits, a one bit, and the lowest n bits of m, where m = (v >> k) + 1 has n + 1 bits; then the lowest k bits of v.
"""

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.runtime import as_bytes, compiled

MAX_BITS = 40
"""Numbers are below 2 ** 40."""

Numbers = NDArray[np.int64]


def write_numbers(values: Numbers) -> bytes:
    """Encode numbers of 0 to 2 ** 40 - 1 with the k of the shortest code."""
    k = int(_choose_k(values))
    out = np.zeros((int(_count_bits(values, k)) + 7) // 8, np.uint8)
    _write(values, k, out)
    return bytes((k,)) + out.tobytes()


def read_numbers(data: memoryview, count: int) -> tuple[Numbers, int]:
    """Decode `count` numbers; return them and the length of their code in bytes."""
    if not data or data[0] >= MAX_BITS or count > 8 * (len(data) - 1):
        raise CorruptRecord(f"{count} numbers cannot be coded in {len(data)} bytes that begin with {bytes(data[:1])!r}")
    values = np.empty(count, np.int64)
    bits = int(_read(as_bytes(data[1:]), data[0], values))
    if bits < 0:
        raise CorruptRecord(f"a list of {count} numbers exceeds its {len(data)} bytes, or its padding is not zero")
    return values, 1 + (bits + 7) // 8


@compiled
def _length(number: np.int64) -> np.int64:
    """Count the bits below the highest one."""
    bits = np.int64(0)
    while number > 1:
        number >>= np.int64(1)
        bits += np.int64(1)
    return bits


@compiled
def _count_bits(values: Numbers, k: int) -> np.int64:
    total = np.int64(0)
    for value in values:
        total += np.int64(2) * _length((value >> np.int64(k)) + np.int64(1)) + np.int64(1 + k)
    return total


@compiled
def _choose_k(values: Numbers) -> np.int64:
    best, fewest = np.int64(0), _count_bits(values, 0)
    for k in range(1, MAX_BITS):
        bits = _count_bits(values, k)
        if bits < fewest:
            best, fewest = np.int64(k), bits
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
    """Fill `values`; return the bits read, or -1 for a code that is damaged."""
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
