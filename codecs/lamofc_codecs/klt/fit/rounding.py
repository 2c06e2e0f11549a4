"""The matrices of a profile as they are stored: each column as precise as its spread needs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.klt.format import TypicalColumns
from lamofc_codecs.klt.transform import Basis, ErrorWeights
from lamofc_codecs.level_coding import is_codable
from lamofc_codecs.runtime import Floats
from lamofc_codecs.stats import error_share

_MIN_CODED_VALUES = 1 << 16
"""Values of a basis from which on it is coded, as its typical tokens are."""
_MAX_STRIDE = 64
_MIN_SPREAD_RATIO = 1 / _MAX_STRIDE**2
"""Least spread of a column, as a share of the largest, that its precision follows."""
_MAX_TYPICAL_LEVEL = 1 << 13
"""Largest level of a typical token, where its columns would be finer by their spreads."""
_ROUNDING_SHARE = 1 / 16
"""Squared error that coarse channels of the basis may cause, as a share of the error at the finest target."""
_TYPICAL_NOISE_SHARE = 1 / 512
"""Variance of the rounding of typical tokens in a column, as a share of the column's own."""


def is_coded(rows: Tensor, means: Tensor | None) -> bool:
    """Whether a basis is large enough to be coded, and neither it nor its typical tokens are too large for that."""
    codable = all(is_codable(*matrix.shape) for matrix in (rows, means) if matrix is not None)
    return codable and rows.numel() >= _MIN_CODED_VALUES


def round_by_spread(rows: Tensor, sigma: Floats, weights: ErrorWeights, finest_db: float) -> Basis:
    """Round a basis of weighted channels, columns x channels, whose columns have these spreads.

    The step of a column is inverse to the root of its spread: rounding errors are multiplied by the coefficients. No
    channel is finer than errors at `finest_db` need, however small its values are.
    """
    spread = torch.from_numpy(_usable(sigma))
    stride = torch.round((spread / spread[0]) ** -0.5).clamp(1, _MAX_STRIDE)
    noise = float((spread * stride).square().sum())
    allowed = _ROUNDING_SHARE * error_share(finest_db) * float(spread.square().sum())
    importance = weights.weigh_rows(torch.eye(rows.shape[1])).square().sum(1)
    least_scale = (12 * allowed / (noise * rows.shape[1] * importance)).sqrt()
    return Basis.from_floats(weights.unweigh_rows(rows), stride.to(torch.int32), least_scale)


def typical_columns(means: Tensor, rows: Tensor, sigma: Floats, basis: Basis, weights: ErrorWeights) -> TypicalColumns:
    """Express typical tokens, weighted, as columns of a basis that `rows` were rounded to, and round them.

    Columns of `rows`, which are orthonormal, are corrected once for the rounding of the basis.
    """
    stored = weights.weigh_rows(basis.floats().to(torch.float32))
    columns = means @ rows.T
    columns += (means - columns @ stored) @ rows.T
    by_spread = _usable(sigma).astype(np.float64) * np.sqrt(12 * _TYPICAL_NOISE_SHARE)
    wanted = np.maximum(by_spread, columns.abs().amax(0).numpy() / _MAX_TYPICAL_LEVEL)
    wanted = np.maximum(wanted, wanted.max() * _MIN_SPREAD_RATIO)
    step = np.maximum(np.float32(wanted.min()), np.finfo(np.float32).tiny)
    shift = np.rint(np.log2(wanted / step)).astype(np.uint8)
    levels = np.rint(columns.T.numpy() / (step * np.exp2(shift))[:, None]).astype(np.int32)
    return TypicalColumns(np.ascontiguousarray(levels), shift, step)


def _usable(sigma: Floats) -> Floats:
    """Spreads, the least of them raised so far that a precision can follow them."""
    largest = sigma[0] if len(sigma) and sigma[0] > 0 else np.float32(1)
    usable: Floats = np.maximum(sigma, largest * np.float32(_MIN_SPREAD_RATIO))
    return usable
