"""Fitting waves: on which fields tokens lie, how spreads go with frequency, and whether it pays on samples held out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.klt.format import AS_LOUD
from lamofc_codecs.klt.transform import BANDS, TokenGrid, TokenGridRule, choose_grid, forward_dct, spread_out, told
from lamofc_codecs.runtime import Doubles, Floats

_ELEMENTS = 1 << 25
HELD_OUT = 4
"""One token in so many is held out: of the last samples, so that no text is on both sides."""
_FEW, _MANY = 3, 64
"""Whole samples that are kept."""
_PREFIXES = range(9)
_WORTH = 0.02
"""Bits a number that waves save among the first columns, below which they are not looked at any further."""
_ALIKE = 8
"""Columns on either side that a column's bands are like."""
_TRUSTED = 64
"""Tokens of a band that tell as much of a column as its neighbours do."""


class Latest:
    """The last samples of a stream, whole: a fit has not learnt from them."""

    def __init__(self) -> None:
        self._samples: deque[Tensor] = deque(maxlen=_MANY)
        self._elements = 0
        self._seen = 0

    def through(self, samples: Iterator[Tensor]) -> Iterator[Tensor]:
        """The samples, looked at on the way."""
        for sample in samples:
            if len(self._samples) == _MANY:
                self._elements -= self._samples[0].numel()
            self._samples.append(sample)
            self._elements += sample.numel()
            self._seen += 1
            while self._elements > _ELEMENTS and len(self._samples) > _FEW:
                self._elements -= self._samples.popleft().numel()
            yield sample

    def held_out(self) -> list[Tensor]:
        """Those of the last quarter."""
        return list(self._samples)[-max(1, self._seen // HELD_OUT) :]


def find_terrain(samples: Sequence[Floats]) -> TokenGridRule | None:
    """On what fields samples, tokens x columns, lie; None where waves gather too little."""
    best: tuple[float, TokenGridRule | None] = (-_WORTH * sum(told(columns).size for columns in samples), None)
    plain = sum(spread_out(told(columns), TokenGrid()) for columns in samples)
    doubt = -best[0] / 2
    for sequence, several in ((False, False), (True, False), (False, True)):
        for first in _PREFIXES:
            terrain = TokenGridRule(first, sequence, several)
            found = [
                min(spread_out(told(columns), field) for field in terrain.fields(len(columns))) for columns in samples
            ]
            best = min(best, (sum(found) - plain + several * doubt, terrain), key=lambda one: one[0])
    return best[1]


def as_waves(samples: Sequence[Floats], terrain: TokenGridRule) -> tuple[Floats, NDArray[np.uint8]]:
    """Samples one after another, tokens x columns, turned; and the bands."""
    turned, bands = [], []
    for columns in samples:
        field = choose_grid(columns, terrain.fields(len(columns)))
        waves = columns.copy()
        forward_dct(waves, field)
        turned.append(waves)
        bands.append(field.bands(len(columns)))
    return np.concatenate(turned), np.concatenate(bands)


def bands_of(power: Doubles, band: NDArray[np.uint8], sigma: Floats) -> NDArray[np.uint8]:
    """Bands x columns, by the squares of tokens x columns: how much louder than on the whole, in sixths of an octave.

    What few tokens tell is averaged with what neighbouring columns do.
    """
    found = np.full((BANDS, len(sigma)), AS_LOUD, np.uint8)
    whole = np.maximum(np.square(sigma, dtype=np.float64), 1e-300)
    for one in range(BANDS):
        chosen = band == one
        if chosen.any():
            louder = power[chosen].mean(0) / whole
            count = int(chosen.sum())
            louder = (count * louder + _TRUSTED * _around(louder)) / (count + _TRUSTED)
            found[one] = np.clip(np.rint(3 * np.log2(np.maximum(louder, 1e-12))) + AS_LOUD, 0, 255)
    return found


def _around(values: Doubles) -> Doubles:
    """The mean of each value and its neighbours."""
    window = np.ones(2 * _ALIKE + 1)
    found: Doubles = np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
    return found[: len(values)]
