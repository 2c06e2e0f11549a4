"""The profile of `klt`: what was fitted, as it is stored, with the spreads and tables that are measured through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import SIGMA_TABLES, SYMBOLS, Tables, normalise
from lamofc_codecs.klt.fit.grid_search import fit_band_codes, transform_on_grid
from lamofc_codecs.klt.fit.pca import MANY_CHANNELS
from lamofc_codecs.klt.fit.rounding import is_coded, round_by_spread, typical_columns
from lamofc_codecs.klt.format import BAND_FACTORS, UNIT_BAND_CODE, KltOptions, basis_tensors
from lamofc_codecs.klt.quantise import AVERAGE_CLASS, CLASS_FACTORS, TOKEN_CLASSES, classify_tokens, fit_offsets
from lamofc_codecs.klt.transform import BANDS, Analysis, Basis, CodingSpace, TokenCodebook, TokenGridRule
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Floats
from lamofc_codecs.stats import error_share

_MAX_OFFSET_VALUES = 1 << 19
"""Values that the reconstruction offsets are fitted to."""
_SPREAD_ROUNDS = 4


@dataclass(frozen=True)
class FitContext:
    """All that a fit settles before the transform."""

    space: CodingSpace
    parts: tuple[tuple[str, int], ...]
    quality: Quality | None
    options: KltOptions
    target_db: float
    """Signal-to-noise ratio of the step at which spreads are measured."""
    finest_db: float
    """The finest one that the transform is made for."""
    median_energy: float
    """Median of the tokens' weighted energy."""


@dataclass(frozen=True)
class Transform:
    """Channel transform and token codebook."""

    rows: Tensor
    """Columns x weighted channels, by falling variance."""
    means: Tensor | None
    """Typical tokens x weighted channels."""


@dataclass(frozen=True)
class HeldOutColumns:
    """Tokens held out, as columns by falling spread of a transform that was fitted without them."""

    columns: Floats
    order: NDArray[np.int64]
    """Rank of each column before sorting."""
    lengths: tuple[int, ...]
    """Tokens of each sample, if samples are whole."""
    index_table: NDArray[np.uint16] | None
    """Table of their codebook indices."""

    @classmethod
    def from_centred(cls, centred: Tensor, lengths: Sequence[int], measured: Transform | None) -> HeldOutColumns:
        """Subtract typical tokens, transform, and sort the columns."""
        columns, table = centred.numpy(), None
        if measured is not None and measured.means is not None:
            even = Tables(normalise(np.ones(SYMBOLS, np.int64))[None])
            columns, table = _subtract_typical(columns, TokenCodebook(Basis.from_floats(measured.means), even))
        if measured is not None:
            columns = _forward(columns, measured.rows)
        order = np.argsort(-np.square(columns, dtype=np.float64).mean(0), kind="stable")
        return cls(np.ascontiguousarray(columns[:, order]), order, tuple(lengths), table)

    def samples(self) -> list[Floats]:
        """Split into samples."""
        return np.split(self.columns, np.cumsum(self.lengths)[:-1])


def make_profile(
    context: FitContext, test: HeldOutColumns, final: Transform | None, rule: TokenGridRule | None
) -> Profile:
    """Make a profile of the final transform, or of channels as they are; with a block DCT if there is a rule.

    Spreads and tables are measured on the tokens held out: a column of the final transform takes those of its rank.
    """
    columns, band = test.columns, np.zeros(len(test.columns), np.uint8)
    if rule is not None:
        columns, band = transform_on_grid(test.samples(), rule)
    spreads = _fit_spreads(columns, band, context.target_db)
    tensors: dict[str, Tensor] = {
        **context.space.bulk.tensors(),
        **context.space.tensors(),
        "sigma": torch.from_numpy(spreads.sigma),
        "drawn": torch.from_numpy(_fit_offsets(columns, band, spreads)),
        "energies": _stored(_token_class_table(spreads.token_class)),
        **({} if rule is None else {"bands": torch.from_numpy(spreads.band_codes)}),
        **_transform_tensors(context, test, final, spreads.sigma),
    }
    if context.parts or not context.space.error_weights.uniform:
        tensors |= context.space.error_weights.tensors()
    return Profile("klt", _config(context, rule), tensors)


def _config(context: FitContext, rule: TokenGridRule | None) -> dict[str, object]:
    config: dict[str, object] = {
        **context.options.to_json(),
        "tables": SIGMA_TABLES,
        "channels": context.space.channels,
        "quality": context.quality.to_json() if context.quality else None,
    }
    if rule is not None:
        config["terrain"] = rule.to_json()
    if context.parts:
        config["parts"] = [[name, channels] for name, channels in context.parts]
    if context.options.weight_nats is not None:
        config["nats"] = context.options.weight_nats / context.space.error_weights.share
    if context.options.sinks and context.options.weight is not None and context.median_energy > 0:
        config["usual_energy"] = context.median_energy
    return config


def _transform_tensors(
    context: FitContext, test: HeldOutColumns, final: Transform | None, sigma: Floats
) -> dict[str, Tensor]:
    """Return what is stored of the transform and the typical tokens."""
    if final is None:
        return {"order": torch.from_numpy(test.order.astype(np.int32))}
    weights, coded = context.space.error_weights, is_coded(final.rows, final.means)
    if not weights.stretches:
        basis = Basis.from_floats(weights.unweigh_rows(final.rows))
    elif coded:
        basis = round_by_spread(final.rows, sigma, weights, context.finest_db)
    else:
        basis = Basis.with_strides(weights.unweigh_rows(final.rows))
    tensors = basis_tensors(basis, coded=coded)
    if test.index_table is None or final.means is None:
        return tensors
    tensors["mean_numbers"] = _stored(test.index_table)
    if coded:
        return {**tensors, **typical_columns(final.means, final.rows, sigma, basis, weights).tensors()}
    typical = Basis.from_floats(weights.unweigh_rows(final.means))
    return {**tensors, "means": typical.rows, "means_scale": typical.scale}


def _stored(table: NDArray[np.uint16]) -> Tensor:
    return torch.from_numpy(table.astype(np.int32))


def _subtract_typical(centred: Floats, codebook: TokenCodebook) -> tuple[Floats, NDArray[np.uint16]]:
    """Return the residual of tokens, and the table of their codebook indices."""
    index = codebook.nearest(centred)
    upper = np.zeros(SYMBOLS, np.int64)
    counts = np.bincount(index, minlength=codebook.count)
    np.add.at(upper, np.arange(codebook.count) >> codebook.shift, 16 * counts + 1)
    residual: Floats = centred - codebook.take(index)
    return residual, normalise(upper)


def _forward(residual: Floats, rows: Tensor) -> Floats:
    """Transform to columns: of many channels without rounding the rows, which would change next to nothing."""
    if rows.shape[1] <= MANY_CHANNELS:
        return Analysis.of(Basis.from_floats(rows)).forward(residual)
    columns: Floats = (torch.from_numpy(residual) @ rows.T).numpy()
    return columns


@dataclass(frozen=True)
class _Spreads:
    """Spreads of columns, and the classes of the tokens that they were measured on."""

    sigma: Floats
    band_codes: NDArray[np.uint8]
    token_class: NDArray[np.uint8]

    @property
    def by_band(self) -> Floats:
        """Bands x columns."""
        return self.sigma * BAND_FACTORS[self.band_codes]


def _fit_spreads(columns: Floats, band: NDArray[np.uint8], target_db: float) -> _Spreads:
    """Fit spreads and token classes, each of which depends on the other."""
    power = np.square(columns, dtype=np.float64).mean(0)
    step = np.sqrt(12 * power.mean() * error_share(target_db)) if power.size else 1.0
    step = np.float32(min(step, np.finfo(np.float32).max))
    token_class = np.full(len(columns), AVERAGE_CLASS, np.uint8)
    for _ in range(_SPREAD_ROUNDS):
        normal = np.square(columns / CLASS_FACTORS[token_class][:, None], dtype=np.float64)
        sigma = np.maximum.accumulate(np.sqrt(normal.mean(0)).astype(np.float32)[::-1])[::-1].copy()
        codes = np.full((BANDS, len(sigma)), UNIT_BAND_CODE, np.uint8)
        if band.any():
            codes = fit_band_codes(normal, band, sigma)
        spreads = _Spreads(sigma, codes, token_class)
        token_class = classify_tokens(columns, band, spreads.by_band, step)
    return _Spreads(sigma, codes, token_class)


def _fit_offsets(columns: Floats, band: NDArray[np.uint8], spreads: _Spreads) -> NDArray[np.uint8]:
    rows = slice(None, None, max(1, columns.size // _MAX_OFFSET_VALUES))
    spread = spreads.by_band[band[rows]] * CLASS_FACTORS[spreads.token_class[rows]][:, None]
    used = (spread > 0).all(0)  # which the product of a tiny spread and its factors may not be
    return fit_offsets(columns[rows, used] / spread[:, used])


def _token_class_table(token_class: NDArray[np.uint8]) -> NDArray[np.uint16]:
    counts = np.zeros(SYMBOLS, np.int64)
    counts[:TOKEN_CLASSES] = 1 + 64 * np.bincount(token_class, minlength=TOKEN_CLASSES)
    return normalise(counts)
