"""Residuals of a source: weighted, centred, without exact entries and typical tokens, one piece after another.

Residuals of a small source are kept. Those of a larger one, which take twice the bytes of float16, are computed again
for each pass over them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.klt.format import KltParameters
from lamofc_codecs.klt.quantise import token_energies
from lamofc_codecs.klt.transform import NO_TYPICAL_TOKEN, CodingSpace
from lamofc_codecs.runtime import Floats
from lamofc_codecs.source import Source

_KEPT = 1 << 24
"""Values of a source whose residuals are kept."""
_TILE = 256
"""Pieces are multiples of it, so that a token has the same place in its tile as in the whole source."""

Tokens = slice | NDArray[np.int64]


class Residual:
    """The residuals of one source."""

    def __init__(self, source: Source, outside: NDArray[np.bool_], parameters: KltParameters) -> None:
        """Find the typical token of each token, and sum up energies; entries `outside` the bulk count for none."""
        self.source, self.parameters, self._outside = source, parameters, outside
        coded = parameters.weighted_codebook is not None
        self.index = np.empty(source.tokens, np.int64) if coded else None
        """Codebook index of each token, where the profile has a codebook."""
        self.energies = np.empty(source.tokens)
        """Weighted energy of each token, its typical token included."""
        self.energy = 0.0
        """Energy of all residuals."""
        self._kept: Floats | None = None
        for where in pieces_of(source):
            centred = self._centred(where)
            self.energies[where] = token_energies(centred)
            if source.placement.shift is not None:
                centred += source.placement.shift[where]
            self._find_typical(centred, where)
            self._subtract_typical(centred, where)
            self.energy += float(np.square(centred, dtype=np.float64).sum())
            if len(centred) == source.tokens:
                self._kept = centred

    def pieces(self) -> Iterator[Floats]:
        """Yield the residuals of some tokens after another, which must not be changed."""
        if self._kept is not None:
            yield self._kept
            return
        for where in pieces_of(self.source):
            yield self._residuals(where)

    def rows(self, tokens: NDArray[np.int64]) -> Floats:
        """Return the residuals of some tokens."""
        return self._residuals(tokens) if self._kept is None else self._kept[tokens]

    def _residuals(self, where: Tokens) -> Floats:
        residuals = self._centred(where)
        if self.source.placement.shift is not None:
            residuals += self.source.placement.shift[where]
        self._subtract_typical(residuals, where)
        return residuals

    def _centred(self, where: Tokens) -> Floats:
        positions = self.source.positions[where]
        return self.parameters.space.enter(self.source.rows(where), positions, self._outside[where])

    def _find_typical(self, centred: Floats, where: slice) -> None:
        codebook = self.parameters.weighted_codebook
        if codebook is not None and self.index is not None:
            found = codebook.nearest(centred)
            found[self.parameters.space.is_first(self.source.positions[where])] = NO_TYPICAL_TOKEN
            self.index[where] = found

    def _subtract_typical(self, centred: Floats, where: Tokens) -> None:
        codebook = self.parameters.weighted_codebook
        if codebook is not None and self.index is not None:
            centred -= codebook.take(self.index[where])


def outside_bulk(source: Source, space: CodingSpace) -> NDArray[np.bool_]:
    """Mark the entries of a source that are outside the bulk."""
    outside = np.empty((source.tokens, source.channels), np.bool_)
    for where in pieces_of(source):
        outside[where] = space.outside(source.rows(where), source.positions[where])
    return outside


def not_finite(source: Source) -> NDArray[np.bool_]:
    """Mark the entries of a source that are not finite."""
    return np.concatenate([~np.isfinite(source.rows(where)) for where in pieces_of(source)])


def pieces_of(source: Source) -> Iterator[slice]:
    """Yield pieces of the tokens of a source: one of a small source."""
    at_once = max(_KEPT // max(source.channels, 1) // _TILE, 1) * _TILE
    for start in range(0, source.tokens, at_once):
        yield slice(start, min(start + at_once, source.tokens))
