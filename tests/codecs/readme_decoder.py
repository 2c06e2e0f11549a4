"""A decoder written from codecs/README.md alone, in plain Python: slow, and independent of the package."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, load_file

WORDS = {1: 8, 2: 4, 3: 2, 4: 2, 16: 1, 17: 2, 18: 4, 19: 8, 24: 1, 32: 1}
FLOATS = {1, 2, 3, 4}
Array = np.ndarray[Any, Any]


class Tables:
    """The frozen tables."""

    def __init__(self, path: Path) -> None:
        found = load_file(path)
        self.freqs, self.radii, self.thresholds = found["freqs"], found["radii"], found["thresholds"]

    def shape(self, sigma: Array, step: np.float32) -> list[tuple[int, int, int]]:
        """Class, table and low bits of each column."""
        classes = [min(int((self.thresholds <= ratio).sum()), 137) for ratio in (sigma / step).astype(np.float32)]
        return [(k, k, 0) if k < 48 else (k, 42 + (k - 48) % 6, 1 + (k - 48) // 6) for k in classes]


class Bits:
    """Bits of bytes, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self.value, self.at = int.from_bytes(data, "little"), 0

    def take(self, count: int) -> int:
        found = self.value >> self.at & ((1 << count) - 1)
        self.at += count
        return found

    def zeros(self) -> int:
        count = 0
        while not self.take(1):
            count += 1
        return count


def numbers(data: bytes, count: int) -> tuple[list[int], int]:
    """A list of numbers, and the bytes that it took."""
    k, bits, found = data[0], Bits(data[1:]), []
    for _ in range(count):
        n = bits.zeros()
        m = 1 << n | bits.take(n)
        found.append((m - 1) << k | bits.take(k))
    return found, 1 + (bits.at + 7) // 8


def own_table(data: bytes) -> tuple[Array, int]:
    """A table in a record, and the bytes that it took."""
    freqs, bits = np.zeros(256, np.int64), Bits(data[2:])
    for symbol in range(data[0], data[1] + 1):
        e = bits.zeros()
        freqs[symbol] = (1 << e | bits.take(e)) - 1
    return freqs, 2 + (bits.at + 7) // 8


def rans(data: bytes, count: int, freqs_of_row: list[Array]) -> list[int]:
    """A rANS block."""
    if not count:
        return []
    lanes, rows = 1 << (data[0] & 127), -(-count // 32)
    sizes, at = [len(data) - 1], 1
    if data[0] & 128:
        streams = struct.unpack_from("<I", data, 1)[0]
        sizes, at = list(struct.unpack_from(f"<{streams}I", data, 5)), 5 + 4 * streams
    symbols: list[int] = []
    for number, size in enumerate(sizes):
        states = list(struct.unpack_from(f"<{lanes}I", data, at))
        words = iter(struct.unpack_from(f"<{(size - 4 * lanes) // 2}H", data, at + 4 * lanes))
        first, last = rows * number // len(sizes) * 32, min(rows * (number + 1) // len(sizes) * 32, count)
        found = []
        for place in range(-(-(last - first) // lanes) * lanes):
            freqs = freqs_of_row[min((first + place) // 32, rows - 1)]
            x, ends = states[place % lanes], np.cumsum(freqs)
            slot = x % 4096
            symbol = int(np.searchsorted(ends, slot, side="right"))
            x = int(freqs[symbol]) * (x // 4096) + slot - int(ends[symbol] - freqs[symbol])
            states[place % lanes] = x * 65536 + next(words) if x < 1 << 15 else x
            found.append(symbol)
        assert set(states) == {1 << 15} and next(words, None) is None
        symbols += found[: last - first]
        at += size
    return symbols


def plane(form: int, data: bytes, count: int, given: Array | None) -> Array:
    """One plane in any of its forms."""
    if form == 0:
        return np.frombuffer(data, np.uint8)
    if form == 1:
        return np.full(count, data[0], np.uint8)
    freqs, used = (given, 0) if form == 3 else own_table(data)
    assert freqs is not None
    return np.array(rans(data[used:], count, [freqs] * -(-count // 32)), np.uint8)


def raw(data: bytes, dtype: int, count: int) -> bytes:
    """The bytes of a tensor."""
    if data[0] == 0:
        return data[1:]
    size, at = WORDS[dtype], 1 + 9 * WORDS[dtype]
    words = np.zeros(count, np.uint64)
    for k in range(size):
        form, length = struct.unpack_from("<BQ", data, 1 + 9 * k)
        words |= plane(form, data[at : at + length], count, None).astype(np.uint64) << np.uint64(8 * k)
        at += length
    if dtype in FLOATS and size > 1:
        words = words >> np.uint64(1) | (words & np.uint64(1)) << np.uint64(8 * size - 1)
    return words.astype(f"<u{size}").tobytes()


def block(data: bytes, tokens: int, shape: list[tuple[int, int, int]], tables: Tables) -> Array:
    """A block of numbers."""
    count, order = tokens * len(shape), sorted(range(len(shape)), key=lambda c: (shape[c][1], shape[c][0], c))
    size = struct.unpack_from("<I", data)[0]
    rows = [shape[order[min(32 * row + 31, count - 1) // tokens]][1] for row in range(-(-count // 32))]
    symbols = rans(data[4 : 4 + size], count, [tables.freqs[table].astype(np.int64) for table in rows])
    low_size = (sum(s for _, _, s in shape) * tokens + 7) // 8
    low, rest = Bits(data[4 + size : 4 + size + low_size]), data[4 + size + low_size :]
    escaped = iter(numbers(rest, symbols.count(128))[0] if rest else [])
    found = np.zeros((tokens, len(shape)), np.int64)
    for place, symbol in enumerate(symbols):
        column, token = order[place // tokens], place % tokens
        _, table, s = shape[column]
        if symbol == 128:
            e = next(escaped)
            u = (e // 2 + int(tables.radii[table]) + 1) * (-1 if e & 1 else 1)
        else:
            u = symbol - 256 if symbol > 128 else symbol
        found[token, column] = (u << s) + low.take(s) - (1 << s >> 1)
    return found


def uniform(data: bytes, tokens: int, profile: bytes, tables: Tables) -> tuple[Array, dict[int, bytes]]:
    """Float32 values before the rounding to the source's dtype, and exact values by position."""
    tensors, document = load(profile), config(profile)
    step, flags, size = struct.unpack_from("<fBI", data)
    step = np.float32(step)
    shape = tables.shape(tensors["sigma"], step)
    middle = tensors["bulk_mean"]
    if document["bits"] is not None:
        (low, high), levels = document["range"], 2 ** document["bits"] - 1
        n = np.clip(np.rint((middle.astype(np.float64) - low) / ((high - low) / levels)), 0, levels)
        middle = (low + n * ((high - low) / levels)).astype(np.float32)
    drawn = np.array([tensors["shrink"][k] / 64 if flags & 1 and k < 48 else 0 for k, _, _ in shape], np.float32)
    q = block(data[9 : 9 + size], tokens, shape, tables)
    values = (q.astype(np.float32) - np.sign(q).astype(np.float32) * drawn) * step + middle
    return values, exact(data[9 + size :]) if flags & 2 else {}


def exact(data: bytes) -> dict[int, bytes]:
    """Exact values by position."""
    count = struct.unpack_from("<I", data)[0]
    gaps, used = numbers(data[4:], count)
    width = (len(data) - 4 - used) // count
    places = np.cumsum(np.array(gaps) + 1) - 1
    return {int(place): data[4 + used + width * i :][:width] for i, place in enumerate(places)}


def lloydmax(data: bytes, count: int, profile: bytes) -> Array:
    """Levels in float32."""
    tensors = load(profile)
    levels: Array = tensors["levels"][plane(data[0], data[1:], count, tensors["table"].astype(np.int64))]
    return levels


def config(profile: bytes) -> dict[str, Any]:
    """What a profile's metadata says."""
    header = json.loads(profile[8 : 8 + int.from_bytes(profile[:8], "little")])
    found: dict[str, Any] = json.loads(header["__metadata__"]["lamofc"])["config"]
    return found


def sections(record: bytes) -> tuple[int, list[int], int, list[int], list[bytes]]:
    """Codec number, dtypes of the parts, tokens of all items, channels, and the sections that are there."""
    assert record[:4] == b"LMFC" and record[4] == 1
    at, flags, layers = 24, record[6], record[7]
    if not flags & 1:
        dtype, total, width = struct.unpack_from("<BII", record, at)
        dtypes, channels = [dtype], [width]
        at += 9
    else:
        items, parts = struct.unpack_from("<IH", record, at)
        told = 1 if flags & 4 else items
        tokens = struct.unpack_from(f"<{told}I", record, at + 6)
        total = sum(tokens) * (items // told)
        at += 6 + 4 * told
        told = 1 if flags & 8 else parts
        shapes = [struct.unpack_from("<BI", record, at + 5 * part) for part in range(told)] * (parts // told)
        dtypes, channels = [dtype for dtype, _ in shapes], [width for _, width in shapes]
        at += 5 * told
        assert record[at : at + layers] == bytes(layers)
        at += layers
    lengths = [struct.unpack_from("<I", record, at + 8 * layer)[0] for layer in range(layers)]
    at, found = at + 8 * layers + 4, []
    for length in lengths:
        if at < len(record) or not length:
            found.append(record[at : at + length])
            at += length
    assert at == len(record)
    return record[5], dtypes, total, channels, found
