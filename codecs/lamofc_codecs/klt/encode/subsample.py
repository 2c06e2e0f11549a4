"""A subsample of a sample's tokens, from which errors and rates are predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.klt.quantise import token_energies
from lamofc_codecs.runtime import Floats

SUBSAMPLE_ENTRIES = 1 << 16
"""Entries that a prediction evaluates."""


@dataclass(frozen=True)
class Subsample:
    """The tokens of highest energy, and of the others every so many."""

    high_energy: NDArray[np.int64]
    low_energy: NDArray[np.int64]
    scale: float
    """Tokens for which each of the tokens of low energy stands."""
    energy: float
    """Energy of all tokens."""

    @classmethod
    def of(cls, columns: Floats) -> Subsample:
        """Choose from tokens x columns."""
        energies = token_energies(columns)
        order, energy = np.argsort(-energies, kind="stable"), float(energies.sum())
        if columns.size <= SUBSAMPLE_ENTRIES:
            return cls(order, order[:0], 0.0, energy)
        half = SUBSAMPLE_ENTRIES // (2 * columns.shape[1]) + 1
        others = order[half:]
        low_energy = others[(2 * np.arange(half) + 1) * len(others) // (2 * half)]
        return cls(order[:half], low_energy, len(others) / max(len(low_energy), 1), energy)

    @property
    def pieces(self) -> list[tuple[NDArray[np.int64], float]]:
        """Tokens, and for how many each of them stands."""
        chosen = ((self.high_energy, 1.0), (self.low_energy, self.scale))
        return [(tokens, scale) for tokens, scale in chosen if len(tokens)]
