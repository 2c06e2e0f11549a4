"""The allotment of bits to principal components, by dynamic programming at a price that meets a budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_SIZES = (16, 64, 256, 1024)
_BITS = (2, 4, 8)
_BITS_OF_SCALES = 32
_TOKENS = 512
"""Most tokens on which errors are measured."""
_PRICES = 40
"""Halvings of the interval in which the price of a bit is sought."""
_LEAST_STEP = np.float32(1e-4)


@dataclass(frozen=True)
class Group:
    """Components next to each other that share a scale at each token."""

    start: int
    size: int
    bits: int


@dataclass(frozen=True)
class _Choice:
    group: Group
    error: float
    cost: int
    """Bits a token."""


def least_and_step(values: Floats, bits: int) -> tuple[Floats, Floats]:
    """Return the least value and the step of each token, as float16 holds them."""
    low = values.min(1, keepdims=True).astype(np.float16).astype(np.float32)
    step = np.maximum((values.max(1, keepdims=True) - low) / (2**bits - 1), _LEAST_STEP)
    return low, step.astype(np.float16).astype(np.float32)


def allot_bits(coefficients: Floats, bits: float) -> tuple[Group, ...]:
    """Return the groups of least squared error that take so many bits a component; those that get none are left out."""
    rows = coefficients[:: max(1, len(coefficients) // _TOKENS)]
    choices = _choices(rows)
    budget, low, high = bits * rows.shape[1], 0.0, float(rows.var(0).max()) * rows.shape[1]
    best = _cheapest(choices, rows.shape[1], high)
    for _ in range(_PRICES):
        price = (low * high) ** 0.5 if low else high / 4096
        path = _cheapest(choices, rows.shape[1], price)
        if sum(choice.cost for choice in path) <= budget:
            best, high = path, price
        else:
            low = price
    return tuple(choice.group for choice in best if choice.group.bits)


def _choices(rows: Floats) -> dict[int, list[_Choice]]:
    """Return the groups that may begin at each component, with their errors and costs."""
    width, found = rows.shape[1], {}
    for start in range(0, width, _SIZES[0]):
        sizes = sorted({min(size, width - start) for size in _SIZES})
        found[start] = [_Choice(Group(start, sizes[0], 0), _energy(rows[:, start : start + sizes[0]]), 0)]
        for size in sizes:
            part = rows[:, start : start + size]
            for bits in _BITS:
                low, step = least_and_step(part, bits)
                error = part - low - step * np.rint((part - low) / step).clip(0, 2**bits - 1)
                found[start].append(_Choice(Group(start, size, bits), _energy(error), size * bits + _BITS_OF_SCALES))
    return found


def _energy(values: Floats) -> float:
    return float(np.square(values).sum(1).mean())


def _cheapest(choices: dict[int, list[_Choice]], width: int, price: float) -> list[_Choice]:
    """Return the groups from the first to the last component with the least error plus price times bits."""
    totals, chosen = {width: 0.0}, {}
    for start in sorted(choices, reverse=True):
        totals[start], chosen[start] = min(
            ((c.error + price * c.cost + totals[start + c.group.size], c) for c in choices[start]), key=lambda x: x[0]
        )
    path, at = [], 0
    while at < width:
        path.append(chosen[at])
        at += chosen[at].group.size
    return path
