"""The search for a token grid: on which grids tokens lie, and how spreads depend on the frequency."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.klt.format import UNIT_BAND_CODE
from lamofc_codecs.klt.transform import (
    BANDS,
    MAX_FIRST_TOKENS,
    TokenGrid,
    TokenGridRule,
    choose_grid,
    dct_bits,
    forward_dct,
    leading_columns,
)
from lamofc_codecs.runtime import Doubles, Floats

HELD_OUT_DIVISOR = 4
"""One token in so many is held out: those of the last samples, so that no text is on both sides."""
_MAX_ELEMENTS = 1 << 25
"""Values of the samples that are kept whole."""
_MIN_SAMPLES, _MAX_SAMPLES = 3, 64
"""Samples that are kept whole."""
_MAX_SAMPLE_ELEMENTS = 1 << 25
"""Values of a sample that are kept."""
_FIRST_SAMPLES = 16
"""Samples whose first tokens are kept."""
_PREFIXES = range(9)
"""Tokens before the rows of an image that are tried."""
_MIN_SAVED_BITS = 0.02
"""Bits a coefficient that the DCT must save in the leading columns to be pursued."""
_NEIGHBOURS = 8
"""Columns on either side with which the band codes of a column are averaged."""
_NEIGHBOUR_WEIGHT = 64
"""Tokens of a band that count as much as a column's neighbours do."""


class RecentSamples:
    """The last samples of a stream, held out whole but for huge ones, and the first tokens of the first samples."""

    def __init__(self) -> None:
        self._samples: deque[Tensor] = deque(maxlen=_MAX_SAMPLES)
        self._first: list[Tensor] = []
        self._elements = 0
        self._count = 0

    def watch(self, samples: Iterator[Tensor]) -> Iterator[Tensor]:
        """Pass the samples on, and keep the last of them."""
        for sample in samples:
            if len(self._samples) == _MAX_SAMPLES:
                self._elements -= self._samples[0].numel()
            kept = _beginning(sample)
            self._samples.append(kept)
            if len(self._first) < _FIRST_SAMPLES:
                self._first.append(sample[:MAX_FIRST_TOKENS].detach().cpu().to(torch.float32))
            self._elements += kept.numel()
            self._count += 1
            while self._elements > _MAX_ELEMENTS and len(self._samples) > _MIN_SAMPLES:
                self._elements -= self._samples.popleft().numel()
            yield sample

    def first_tokens(self) -> list[Tensor]:
        """Return the first tokens of the first samples."""
        return self._first

    def held_out(self) -> list[Tensor]:
        """Return those of the last quarter of the stream."""
        return list(self._samples)[-max(1, self._count // HELD_OUT_DIVISOR) :]


def _beginning(sample: Tensor) -> Tensor:
    """Return a sample, or a copy of its first tokens where it is too large to be kept."""
    tokens = max(1, _MAX_SAMPLE_ELEMENTS // max(sample.shape[-1], 1))
    return sample if len(sample) <= tokens else sample[:tokens].clone()


def find_grid_rule(samples: Sequence[Floats]) -> TokenGridRule | None:
    """Find the grids on which the samples, tokens x columns, lie; None where the DCT saves too little."""
    leading = [leading_columns(columns) for columns in samples]
    best: tuple[float, TokenGridRule | None] = (-_MIN_SAVED_BITS * sum(columns.size for columns in leading), None)
    plain = sum(dct_bits(columns, TokenGrid()) for columns in leading)
    handicap = -best[0] / 2
    for sequence, several in ((False, False), (True, False), (False, True)):
        for prefix in _PREFIXES:
            rule = TokenGridRule(prefix, sequence, several)
            bits = [min(dct_bits(columns, grid) for grid in rule.grids(len(columns))) for columns in leading]
            best = min(best, (sum(bits) - plain + several * handicap, rule), key=lambda pair: pair[0])
    return best[1]


def transform_on_grid(samples: Sequence[Floats], rule: TokenGridRule) -> tuple[Floats, NDArray[np.uint8]]:
    """Return the DCT of samples, tokens x columns, one after another; and the band of each token."""
    coefficients, bands = [], []
    for columns in samples:
        grid = choose_grid(columns, rule.grids(len(columns)))
        transformed = columns.copy()
        forward_dct(transformed, grid)
        coefficients.append(transformed)
        bands.append(grid.bands(len(columns)))
    return np.concatenate(coefficients), np.concatenate(bands)


def fit_band_codes(power: Doubles, band: NDArray[np.uint8], sigma: Floats) -> NDArray[np.uint8]:
    """Fit the spread of each band and column over that of all bands, in sixths of an octave from `UNIT_BAND_CODE` on.

    `power` holds squares, tokens x columns. Bands of few tokens are averaged with neighbouring columns.
    """
    codes = np.full((BANDS, len(sigma)), UNIT_BAND_CODE, np.uint8)
    overall = np.maximum(np.square(sigma, dtype=np.float64), 1e-300)
    for number in range(BANDS):
        chosen = band == number
        if chosen.any():
            ratio = power[chosen].mean(0) / overall
            count = int(chosen.sum())
            ratio = (count * ratio + _NEIGHBOUR_WEIGHT * _moving_mean(ratio)) / (count + _NEIGHBOUR_WEIGHT)
            # 3 log2 of a variance ratio is 6 log2 of a ratio of spreads.
            codes[number] = np.clip(np.rint(3 * np.log2(np.maximum(ratio, 1e-12))) + UNIT_BAND_CODE, 0, 255)
    return codes


def _moving_mean(values: Doubles) -> Doubles:
    """Mean of each value and its neighbours."""
    window = np.ones(2 * _NEIGHBOURS + 1)
    means: Doubles = np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
    return means[: len(values)]
