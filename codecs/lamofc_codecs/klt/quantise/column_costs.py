"""Costs of the columns of a sample at one step: error, bits and energy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lamofc_codecs.runtime import Doubles


@dataclass(frozen=True, eq=False)
class ColumnCosts:
    """Sums over tokens for each column, errors and energies in squared steps."""

    sums: Doubles
    """3 x columns: error if coded, bits if coded, energy, which is the error if not coded."""

    @classmethod
    def zeros(cls, columns: int) -> ColumnCosts:
        """No tokens yet."""
        return cls(np.zeros((3, columns)))

    def __add__(self, other: ColumnCosts) -> ColumnCosts:
        return ColumnCosts(self.sums + other.sums)

    def scaled(self, factor: float) -> ColumnCosts:
        """Let each token stand for so many."""
        return ColumnCosts(factor * self.sums)

    def worth_coding(self, error_per_bit: float) -> int:
        """Count the leading columns to code: beyond them, bits cost more than they save in error."""
        coded = np.cumsum(self.sums[0] + error_per_bit * self.sums[1])
        left = self.sums[2].sum() - np.cumsum(self.sums[2])
        totals = np.concatenate([[self.sums[2].sum()], coded + left])
        return int(totals.argmin())

    def bits(self, count: int) -> float:
        """Bits of the first columns."""
        return float(self.sums[1, :count].sum())

    def total_error(self, count: int) -> float:
        """Error of all columns, where only the first so many are coded."""
        return float(self.sums[0, :count].sum() + self.sums[2, count:].sum())

    def errors(self, count: int) -> Doubles:
        """Error of each column, where only the first so many are coded."""
        return np.concatenate([self.sums[0, :count], self.sums[2, count:]])
