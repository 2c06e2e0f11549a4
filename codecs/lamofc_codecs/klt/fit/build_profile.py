"""The profile of `klt`: what was fitted, as it is stored, and the spreads and tables that are measured through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import SIGMA_TABLES, SYMBOLS, Tables, normalise
from lamofc_codecs.klt.fit.grid_search import as_waves, bands_of
from lamofc_codecs.klt.format import AS_LOUD, LOUDER, KltOptions
from lamofc_codecs.klt.quantise import ENERGIES, FACTORS, USUAL, energies_of, fit_drawn
from lamofc_codecs.klt.transform import BANDS, Analysis, Basis, ErrorWeights, TokenCodebook, TokenGridRule
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Floats
from lamofc_codecs.stats import Bulk

_SHOWN = 1 << 19
"""Values that the drawing inwards is measured on."""


@dataclass(frozen=True)
class Fitted:
    """What is known before the transform."""

    bulk: Bulk
    metric: ErrorWeights
    parts: tuple[tuple[str, int], ...]
    quality: Quality | None
    options: KltOptions
    aim_db: float


@dataclass(frozen=True)
class Transform:
    """What channels are turned by."""

    rows: Tensor
    """Columns x weighted channels, by falling variance."""
    means: Tensor | None
    """Means x weighted channels."""


@dataclass(frozen=True)
class HeldOut:
    """Weighted tokens about their middle, in columns by falling spread; the transform was fitted without them."""

    columns: Floats
    order: NDArray[np.int64]
    """Where each column was before."""
    lengths: tuple[int, ...]
    """Tokens of each sample, if samples are whole."""
    numbers: NDArray[np.uint16] | None
    """Table of their means' numbers."""

    @classmethod
    def of(cls, away: Tensor, lengths: Sequence[int], measured: Transform | None) -> HeldOut:
        """Take off means and transform."""
        columns, numbers = away.numpy(), None
        if measured is not None and measured.means is not None:
            even = Tables(normalise(np.ones(SYMBOLS, np.int64))[None])
            columns, numbers = _without_means(columns, TokenCodebook(Basis.of(measured.means), even))
        if measured is not None:
            columns = Analysis.of(Basis.of(measured.rows)).forward(columns)
        order = np.argsort(-np.square(columns, dtype=np.float64).mean(0), kind="stable")
        return cls(np.ascontiguousarray(columns[:, order]), order, tuple(lengths), numbers)

    def samples(self) -> list[Floats]:
        """Each sample by itself."""
        return np.split(self.columns, np.cumsum(self.lengths)[:-1])


def make_profile(fitted: Fitted, test: HeldOut, final: Transform | None, terrain: TokenGridRule | None) -> Profile:
    """A profile of the final transform, none for channels as they are; with waves, if tokens lie on some terrain.

    Spreads and tables are those of what was held out: each column of the final transform takes the spread of its rank.
    """
    tensors: dict[str, Tensor] = dict(fitted.bulk.tensors())
    if test.numbers is not None and final is not None and final.means is not None:
        stored = Basis.of(fitted.metric.undone(final.means))
        tensors |= {"means": stored.rows, "means_scale": stored.scale, "mean_numbers": _stored(test.numbers)}
    columns, band = test.columns, np.zeros(len(test.columns), np.uint8)
    if terrain is not None:
        columns, band = as_waves(test.samples(), terrain)
    found = _spreads(columns, band, fitted.aim_db)
    tensors |= {
        "sigma": torch.from_numpy(found.sigma),
        "drawn": torch.from_numpy(_drawn(columns, band, found)),
        "energies": _stored(_energy_table(found.energies)),
    }
    if terrain is not None:
        tensors["bands"] = torch.from_numpy(found.bands)
    if final is None:
        tensors["order"] = torch.from_numpy(test.order.astype(np.int32))
    else:
        rows = fitted.metric.undone(final.rows)
        basis = Basis.strided(rows) if len(fitted.metric.directions) else Basis.of(rows)
        tensors |= {"basis": basis.rows, "basis_scale": basis.scale}
        if basis.stride is not None:
            tensors["basis_stride"] = basis.stride.to(torch.uint8)
    config: dict[str, object] = {
        **fitted.options.to_json(),
        "tables": SIGMA_TABLES,
        "channels": len(fitted.bulk.mean),
        "quality": fitted.quality.to_json() if fitted.quality else None,
    }
    if terrain is not None:
        config["terrain"] = terrain.to_json()
    if fitted.parts:
        config["parts"] = [[name, channels] for name, channels in fitted.parts]
    if fitted.parts or not fitted.metric.even:
        tensors |= fitted.metric.tensors()
    return Profile("klt", config, tensors)


def _stored(table: NDArray[np.uint16]) -> Tensor:
    return torch.from_numpy(table.astype(np.int32))


def _without_means(away: Floats, book: TokenCodebook) -> tuple[Floats, NDArray[np.uint16]]:
    """Tokens less their means, and the table of the means' numbers."""
    index = book.nearest(away)
    upper = np.zeros(SYMBOLS, np.int64)
    np.add.at(upper, np.arange(book.count) >> book.shift, 16 * np.bincount(index, minlength=book.count) + 1)
    left: Floats = away - book.take(index)
    return left, normalise(upper)


@dataclass(frozen=True)
class _Spreads:
    """Spreads of columns whose tokens are told by band and energy, and the energies."""

    sigma: Floats
    bands: NDArray[np.uint8]
    energies: NDArray[np.uint8]

    @property
    def every(self) -> Floats:
        """Bands x columns."""
        return self.sigma * LOUDER[self.bands]


def _spreads(columns: Floats, band: NDArray[np.uint8], aim_db: float) -> _Spreads:
    """Spreads and energies, brought to agree."""
    power = np.square(columns, dtype=np.float64).mean(0)
    step = np.float32(np.sqrt(12 * power.mean() * 10 ** (-aim_db / 10))) if power.size else np.float32(1)
    energies = np.full(len(columns), USUAL, np.uint8)
    for _ in range(4):
        plain = np.square(columns / FACTORS[energies][:, None], dtype=np.float64)
        sigma = np.maximum.accumulate(np.sqrt(plain.mean(0)).astype(np.float32)[::-1])[::-1].copy()
        bands = bands_of(plain, band, sigma) if band.any() else np.full((BANDS, len(sigma)), AS_LOUD, np.uint8)
        found = _Spreads(sigma, bands, energies)
        energies = energies_of(columns, band, found.every, step)
    return _Spreads(sigma, bands, energies)


def _drawn(columns: Floats, band: NDArray[np.uint8], found: _Spreads) -> NDArray[np.uint8]:
    rows = slice(None, None, max(1, columns.size // _SHOWN))
    loud = found.sigma > 0
    spread = found.every[band[rows]][:, loud] * FACTORS[found.energies[rows]][:, None]
    return fit_drawn(columns[rows, loud] / spread)


def _energy_table(energies: NDArray[np.uint8]) -> NDArray[np.uint16]:
    counts = np.zeros(SYMBOLS, np.int64)
    counts[:ENERGIES] = 1 + 64 * np.bincount(energies, minlength=ENERGIES)
    return normalise(counts)
