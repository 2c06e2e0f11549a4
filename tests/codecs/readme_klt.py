"""The part of the decoder written from codecs/README.md that reads `klt`; `plain` is the rest of it."""

import json
import struct
from types import ModuleType
from typing import Any

import numpy as np
from safetensors.numpy import load

from tests.codecs import readme_matrices as matrices

Array = np.ndarray[Any, Any]
F = np.float32
FACTORS = np.array([2 ** ((e - 8) / 2) for e in range(16)], F)


def klt(sections: list[bytes], tokens: int, channels: list[int], profile: bytes, tables: Any, plain: ModuleType) -> Any:
    """Float32 values of all parts side by side, and for each part exact values by position, from some of the layers."""
    tensors, data = matrices.uncoded(load(profile), tables, plain), sections[0]
    step, count, flags = struct.unpack_from("<fBB", data)
    at = 6 + 2 * (count - 1) * (flags >> 1 & 1)
    cuts = [(data[k], data[k + 1]) if flags & 2 else (0, 0) for k in range(6, 4 + 2 * count, 2)]
    listed, used = plain.numbers(data[at:], count + (6 + (flags >> 4 & 1) if "bands" in tensors else 3))
    columns, lengths, field, at = listed[:count], listed[count : count + 3], listed[count + 3 :], at + used
    sigma = Waves(*field).spreads(tensors, tokens) if field else np.tile(tensors["sigma"], (tokens, 1))
    energy = plain.plane(data[at], data[at + 1 : at + 1 + lengths[0]], tokens, tensors["energies"].astype(np.int64))
    at += 1 + lengths[0]
    index = mean_numbers(data[at : at + lengths[1]], tokens, tensors, plain) if lengths[1] else None
    at += lengths[1]
    lifts, used = plain.numbers(data[at:], tokens) if flags & 8 else ([0] * tokens, 0)
    lower = np.array([2 ** (-(-(n + 1) // 2 if n & 1 else n // 2) / 16) for n in lifts], F)
    at += used
    positions = list(range(tokens))
    if flags & 32:
        (runs_of,), used = plain.numbers(data[at:], 1)
        told, more = plain.numbers(data[at + used :], 2 * runs_of)
        positions = [start + k for length, start in zip(told[0::2], told[1::2], strict=True) for k in range(length)]
        at += used + more
    band = Waves(*field).bands(tokens) if field else [0] * tokens
    finest = F(step) if flags & 4 else None
    runs = Runs(sigma[:, : columns[0]], F(step) * F(3 ** (count - 1)), (band, energy), tables, finest)
    numbers = first(data[at : at + lengths[2]], runs, tables, plain)
    sixteenths, later, s = drawn(numbers, runs, tensors), sections[1:], F(step) * F(3 ** (count - 1))
    for level, cut in enumerate(cuts, 1):
        if later:
            told, s = stages(*cut), F(step) * F(3 ** (count - 1 - level))
            runs = Runs(sigma[:, : columns[level]], s, (band, energy), tables, finest)
            layers, later = list(zip(later, told, strict=False)), later[len(told) :]
            numbers, sixteenths = refined(layers, (numbers, sixteenths), runs, tensors, tables, plain)
    known: Array = tensors.get("first_tokens", np.empty((0, 0), F))
    if index is not None:
        index = np.where(np.array(positions) < len(known), -1, index)
    values = synthesis(sixteenths, s, tensors, index, (Waves(*field) if field else Waves(0, 0, 0), lower))
    values = placed(values, positions, rotations(profile), channels, tensors)
    exact = exact_values(data[at + lengths[2] :], len(channels), plain) if flags & 1 else [{} for _ in channels]
    return values, exact


def stages(halves: int, rest: int) -> list[tuple[str, int, int]]:
    """What each layer of a level tells, and of which classes."""
    second = "second" if halves else "whole"
    found = [("first", halves, 48)] * (halves > 0) + [("first", 17, halves)] * (halves > 17)
    return found + [(second, rest, 48)] * (rest > 0) + [(second, 0, rest or 48)]


class Waves:
    """Blocks of tokens, their bands, and the way back from waves."""

    def __init__(self, first: int, rows: int, width: int, images: int = 1) -> None:
        self.first, self.rows, self.width, self.images = first, rows, width, images

    def place(self, row: int, column: int, image: int = 0) -> int:
        return image * (self.first + self.rows * self.width) + self.first + row * self.width + column

    @staticmethod
    def blocks(count: int) -> list[range]:
        n = -(-count // 8)
        return [range(i * count // n, (i + 1) * count // n) for i in range(n)]

    def bands(self, tokens: int) -> list[int]:
        found = [0] * tokens
        for down in self.blocks(self.rows):
            for along in self.blocks(self.width):
                for u, row in enumerate(down):
                    for v, column in enumerate(along):
                        f = 8 * u // len(down) + 8 * v // len(along)
                        for image in range(self.images):
                            band = min(f, 4) + 1 if f < 5 else 5 + (f > 5) + (f > 8) + (f > 12)
                            found[self.place(row, column, image)] = band
        return found

    def spreads(self, tensors: dict[str, Array], tokens: int) -> Array:
        louder = np.array([2 ** ((n - 128) / 6) for n in range(256)], F)
        return tensors["sigma"] * louder[tensors["bands"][self.bands(tokens)]]

    def back(self, values: Array) -> Array:
        values = values.copy()
        for image in range(self.images):
            for row in range(self.rows):
                for block in self.blocks(self.width):
                    places = [self.place(row, column, image) for column in block]
                    values[places] = self.tokens_of(values[places])
            for block in self.blocks(self.rows):
                for column in range(self.width):
                    places = [self.place(row, column, image) for row in block]
                    values[places] = self.tokens_of(values[places])
        return values

    @staticmethod
    def tokens_of(waves: Array) -> Array:
        n, found = len(waves), waves.copy()
        if n == 1:
            return found
        for token in range(n):
            for u in range(n):
                scale = np.sqrt((2 if u else 1) / n)
                term = F(np.cos(np.pi * (2 * token + 1) * u / (2 * n)) * scale) * waves[u]
                found[token] = term if u == 0 else found[token] + term
        return found


class Runs:
    """The order of runs: ((band, energy), column), and the class, table and low bits of each."""

    def __init__(self, sigma: Array, step: Any, told: tuple[Any, Any], tables: Any, finest: Any = None) -> None:
        self.energy, self.sigma = told[1], sigma[0]
        group = [(int(b), int(e)) for b, e in zip(*told, strict=True)]
        self.tokens = {g: [t for t in range(len(group)) if group[t] == g] for g in sorted(set(group))}
        self.shape = {}
        for g, members in self.tokens.items():
            spread = FACTORS[g[1]] * sigma[members[0]]
            there = [finest is None or shape[0] > 0 for shape in tables.shape(spread, finest or step)]
            for c, shape in enumerate(tables.shape(spread, step)):
                if there[c]:
                    self.shape[g, c] = shape
        self.order = sorted(self.shape, key=lambda run: (self.shape[run][1], self.shape[run][0], *run))
        self.places = [(run, t) for run in self.order for t in self.tokens[run[0]]]


def first(data: bytes, runs: Runs, tables: Any, plain: ModuleType) -> Array:
    """The first layer: tokens x columns."""
    found = np.zeros((len(runs.energy), len(runs.sigma)), np.int64)
    shapes = [runs.shape[run] for run, _ in runs.places]
    for number, ((_, c), t) in zip(matrices.levels(data, shapes, tables, plain), runs.places, strict=True):
        found[t, c] = number
    return found


def refined(
    told: list[Any], before: tuple[Array, Array], runs: Runs, tensors: dict[str, Array], tables: Any, plain: ModuleType
) -> tuple[Array, Array]:
    """A level more, or some stages of it: numbers, and what they stand for."""
    coarse, parts = (np.zeros((len(runs.energy), len(runs.sigma)), np.int64) for _ in range(2))
    width = before[0].shape[1]
    coarse[:, :width], parts[:, :width] = before[0], 3 * before[1]
    found, known = 3 * coarse, np.full(coarse.shape, "none", dtype=object)
    kind = {run: min(runs.shape[run][0], 47) for run in runs.order}
    for data, (half, low, high) in told:
        places = [(run, t) for run, t in runs.places if low <= kind[run] < high and known[t, run[1]] != "all"]
        places.sort(key=lambda place: (min(abs(int(coarse[place[1], place[0][1]])), 3), kind[place[0]]))
        rows = []
        for row in range(-(-len(places) // 32)):
            run, t = places[min(32 * row + 31, len(places) - 1)]
            how = half if kind[run] >= 17 else "whole"
            rows.append(
                refinement_table(tables.freqs[kind[run]].astype(np.int64), min(abs(int(coarse[t, run[1]])), 3), how)
            )
        for symbol, ((_, c), t) in zip(plain.rans(data, len(places), rows), places, strict=True):
            d = symbol - 256 if symbol > 128 else symbol
            found[t, c] += -d if coarse[t, c] < 0 else d
            known[t, c] = "half" if half == "first" and d == 0 else "all"
    right = drawn(found, runs, tensors)
    for (e, c), t in runs.places:
        if known[t, c] == "all":
            parts[t, c] = right[t, c]
        elif known[t, c] == "half":
            counts = digits(tables.freqs[kind[e, c]].astype(np.int64), min(abs(int(coarse[t, c])), 3))
            both = max(counts[-1] + counts[0], 1)
            inwards = (32 * counts[-1] + both) // (2 * both)
            parts[t, c] = (48 * abs(coarse[t, c]) - inwards) * (-1 if coarse[t, c] < 0 else 1)
    return found, parts


def digits(f: Array, m: int) -> dict[int, int]:
    """How often a number moves inwards, stays, moves outwards."""
    return {d: sum(int(f[(3 * n + d) % 256]) for n in (range(3, 42) if m == 3 else [m])) for d in (0, 1, -1)}


def refinement_table(f: Array, m: int, half: str) -> Array:
    """Slots of the symbols 0, 1 and 255."""
    found = digits(f, m)
    if half == "first":
        found = {0: found[0] + found[-1], 1: found[1]}
    if half == "second":
        found[1] = 0
    counts = {d % 256: 1 + 64 * number for d, number in found.items()}
    total = sum(counts.values())
    slots = {symbol: max(1, 4096 * count // total) for symbol, count in counts.items()}
    while sum(slots.values()) < 4096:
        slots[min(slots, key=lambda s: (-counts[s] / (2 * slots[s] + 1), s))] += 1
    while sum(slots.values()) > 4096:
        slots[min((s for s in slots if slots[s] > 1), key=lambda s: (counts[s] / (2 * slots[s] - 1), s))] -= 1
    freqs = np.zeros(256, np.int64)
    freqs[list(slots)] = list(slots.values())
    return freqs


def mean_numbers(data: bytes, tokens: int, tensors: dict[str, Array], plain: ModuleType) -> Array:
    """The number of each token's mean."""
    shift = max(0, (len(tensors["means"]) - 1).bit_length() - 8)
    size, low = (tokens * shift + 7) // 8, plain.Bits(data[1:])
    lower = np.array([low.take(shift) for _ in range(tokens)])
    upper = plain.plane(data[0], data[1 + size :], tokens, tensors["mean_numbers"].astype(np.int64))
    found: Array = (upper.astype(np.int64) << shift) + lower
    return found


def drawn(numbers: Array, runs: Runs, tensors: dict[str, Array]) -> Array:
    """What numbers stand for, in sixteenths of a step."""
    parts = np.zeros(numbers.shape, np.int64)
    for (e, c), t in runs.places:
        n, k = int(numbers[t, c]), runs.shape[e, c][0]
        inwards = int(tensors["drawn"][k][0 if abs(n) == 1 else 1]) if k < 48 and n else 0
        parts[t, c] = (16 * abs(n) - inwards) * (1 if n > 0 else -1)
    return parts


def synthesis(
    parts: Array, step: Any, tensors: dict[str, Array], index: Array | None, back: tuple[Waves, Array]
) -> Array:
    """The values that sixteenths of a step make."""
    unit = step / F(16)
    if "order" in tensors:
        sums = np.zeros((len(parts), len(tensors["order"])), np.int64)
        sums[:, tensors["order"][: parts.shape[1]]] = parts
        scale = unit / tensors.get("weight", np.ones(sums.shape[1], F))
    else:
        stride = tensors.get("basis_stride", np.ones(len(tensors["basis"]))).astype(np.int64)[: parts.shape[1]]
        sums = parts * stride @ tensors["basis"][: parts.shape[1]].astype(np.int64)
        scale = tensors["basis_scale"] * unit
    waves, lower = back
    values: Array = waves.back(sums.astype(F)) * lower[:, None]
    values = values * scale + tensors.get("centre", tensors["bulk_mean"])
    if index is not None:
        values = values + (index >= 0)[:, None] * tensors["means"][index].astype(F) * tensors["means_scale"]
    return values


def rotations(profile: bytes) -> list[Any]:
    """What the config says of the rotation of each part."""
    header = json.loads(profile[8 : 8 + int.from_bytes(profile[:8], "little")])
    found: list[Any] = json.loads(header["__metadata__"]["lamofc"])["config"].get("rotary", [])
    return found


def placed(
    values: Array, positions: list[int], told: list[Any], channels: list[int], tensors: dict[str, Array]
) -> Array:
    """Tokens turned to their positions, those that the profile knows added."""
    values = turned(values, positions, told, channels)
    known, middle = tensors.get("first_tokens", []), tensors.get("centre", tensors["bulk_mean"])
    for token, position in enumerate(positions):
        if position < len(known):
            values[token] += known[position] - turned(middle[None], [position], told, channels)[0]
    return values


def turned(values: Array, positions: list[int], told: list[Any], channels: list[int]) -> Array:
    """Each pair of channels of each head turned."""
    values, first = values.copy(), 0
    for part, width in zip(told, channels, strict=False):
        for head in range(part["heads"] if part else 0):
            start = first + head * width // part["heads"]
            for i, frequency in enumerate(part["frequencies"]):
                pair = (i, i + len(part["frequencies"])) if part["pairs"] == "halves" else (2 * i, 2 * i + 1)
                a, b = start + pair[0], start + pair[1]
                for token, position in enumerate(positions):
                    cos, sin = F(np.cos(position * frequency)), F(np.sin(position * frequency))
                    x, y = values[token, a], values[token, b]
                    values[token, a], values[token, b] = x * cos - y * sin, y * cos + x * sin
        first += width
    return values


def exact_values(data: bytes, parts: int, plain: ModuleType) -> list[dict[int, bytes]]:
    """For each part: exact values by position."""
    lengths, at = ([len(data)], 0) if parts == 1 else plain.numbers(data, parts)
    found = []
    for length in lengths:
        found.append(plain.exact(data[at : at + length]) if length else {})
        at += length
    return found
