"""Fitting `klt`: the bulk, token means, the transform, and the spreads; what pays is decided on tokens held out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.basis import Basis
from lamofc_codecs.bulk import Bulk, Floats
from lamofc_codecs.channels import ChannelStatistics, statistics
from lamofc_codecs.deadzone import fit_drawn
from lamofc_codecs.energy import ENERGIES, FACTORS, energies_of
from lamofc_codecs.histogram import normalise
from lamofc_codecs.klt_options import KltOptions
from lamofc_codecs.means import Means, find_means
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.tables import SIGMA_TABLES, SYMBOLS, Tables
from lamofc_codecs.theory import Theory

_ELEMENTS = 1 << 26
"""Values that are kept for the fit."""
_HELD_OUT = 4
"""One token in so many is held out: of the last samples, so that no text is on both sides."""
_SIZES = (256, 512, 1024, 2048, 4096, 8192)
_TOKENS_PER_MEAN = 8
_AIMS_DB = (10.0, 20.0)
"""Where what pays is weighed when no quality is given."""
_FINER_DB = 12.0
"""Columns are kept that a quality so much finer would use."""


@dataclass(frozen=True)
class _Tried:
    """One choice of means, and what it costs."""

    means: Tensor | None
    rows: Tensor
    """Columns x channels, orthonormal."""
    bits: float
    """A token, profile and side included."""


def fit_profile(samples: Iterable[Tensor], quality: Quality | None, options: KltOptions) -> Profile:
    """Fit on tokens x channels, read once."""
    collected = statistics(samples, skip_nonfinite=options.nonfinite == "exact", elements=_ELEMENTS)
    bulk, _ = collected.finish()
    away = _inside(collected, bulk)
    held = max(1, len(away) // _HELD_OUT)
    train, test = (away[:-held], away[-held:]) if len(away) > _HELD_OUT else (away, away)
    per_sample = collected.tokens / max(collected.samples, 1)
    if options.transform == "none":
        return _profile(bulk, None, None, test, quality, options)
    chosen = _best(train, test, quality, options, per_sample)
    means, rows = (chosen.means, chosen.rows)
    return _profile(bulk, rows, means, test, quality, options)


def _inside(collected: ChannelStatistics, bulk: Bulk) -> Tensor:
    """The tokens kept, about the middle, entries out of the bulk at the middle."""
    values = collected.values()
    outside = (values < bulk.low) | (values > bulk.high)
    values -= bulk.mean
    values[outside] = 0
    return torch.from_numpy(values)


def _best(train: Tensor, test: Tensor, quality: Quality | None, options: KltOptions, per_sample: float) -> _Tried:
    """The size of codebook that costs least on tokens held out, its own bytes counted."""
    plain = _try(train, test, 0, quality, options, per_sample)
    if options.means is not None:
        return _try(train, test, options.means, quality, options, per_sample) if options.means else plain
    best = plain
    for size in _SIZES:
        if size * _TOKENS_PER_MEAN > len(train):
            break
        tried = _try(train, test, size, quality, options, per_sample)
        if tried.bits >= best.bits:
            break
        best = tried
    return best


def _try(
    train: Tensor, test: Tensor, size: int, quality: Quality | None, options: KltOptions, per_sample: float
) -> _Tried:
    channels = train.shape[1]
    means = None
    left, unseen = train, test
    side = 0.0
    if size:
        means = find_means(train, min(size, len(train)))
        book = Means(Basis.of(means), _even())
        left = train - torch.from_numpy(book.take(book.nearest(train.numpy())))
        index = book.nearest(test.numpy())
        unseen = test - torch.from_numpy(book.take(index))
        side = _entropy(np.bincount(index, minlength=book.count)) + 8 * book.count * channels / (
            options.samples * max(per_sample, 1)
        )
    rows = _klt(left, options)
    signal = float(test.square().mean(0).sum())
    variance = np.square((unseen @ rows.T).numpy(), dtype=np.float64).mean(0)
    rest = max(float(unseen.square().sum(1).mean()) - float(variance.sum()), 0.0)
    theory = Theory(np.sort(variance)[::-1], 1, rest)
    steps = [theory.step_for_error(signal * 10 ** (-aim / 10)) for aim in _aims(quality)]
    bits = float(np.mean([theory.bits(step) for step in steps]))
    return _Tried(means, rows, bits + side)


def _aims(quality: Quality | None) -> tuple[float, ...]:
    return (quality.value,) if quality is not None and quality.kind == "snr_db" else _AIMS_DB


def _klt(values: Tensor, options: KltOptions) -> Tensor:
    """Principal directions, columns x channels, by falling variance; few tokens shrink it towards the channels."""
    tokens, channels = values.shape
    covariance = (values.T @ values).to(torch.float64) / max(tokens, 1)
    shrink = min(1.0, channels / max(tokens, 1)) * 0.1
    covariance = (1 - shrink) * covariance + shrink * torch.diag(covariance.diagonal())
    _, directions = torch.linalg.eigh(covariance)
    rows: Tensor = directions.T.flip(0).to(torch.float32)
    kept: Tensor = rows[: options.components or channels].contiguous()
    return kept


def _entropy(counts: NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return -float((shares * np.log2(shares)).sum())


def _even() -> Tables:
    return Tables(normalise(np.ones(SYMBOLS, np.int64))[None])


def _profile(
    bulk: Bulk, rows: Tensor | None, means: Tensor | None, test: Tensor, quality: Quality | None, options: KltOptions
) -> Profile:
    """Measure spreads and tables on tokens held out, through the transform as it will be stored."""
    tensors: dict[str, Tensor] = {}
    away = test.numpy()
    if means is not None:
        book = Means(Basis.of(means), _even())
        index = book.nearest(away)
        away = away - book.take(index)
        counts = np.bincount(index, minlength=book.count)
        upper = np.zeros(SYMBOLS, np.int64)
        np.add.at(upper, np.arange(book.count) >> book.shift, 16 * counts + 1)
        tensors |= {
            "means": book.basis.rows,
            "means_scale": book.basis.scale,
            "mean_numbers": torch.from_numpy(normalise(upper).astype(np.int32)),
        }
    basis = None if rows is None else Basis.of(rows)
    columns = away if basis is None else basis.forward(away)
    sigma = np.sqrt(np.square(columns, dtype=np.float64).mean(0)).astype(np.float32)
    order = np.argsort(-sigma, kind="stable")
    columns = np.ascontiguousarray(columns[:, order])
    sigma, energies = _spreads(columns, sigma[order], quality)
    unit = columns / np.maximum(sigma, np.float32(1e-30)) / FACTORS[energies][:, None]
    tensors |= {
        "sigma": torch.from_numpy(sigma),
        "drawn": torch.from_numpy(fit_drawn(unit[:, sigma > 0])),
        "energies": torch.from_numpy(_energy_table(energies).astype(np.int32)),
        **bulk.tensors(),
    }
    if basis is None:
        tensors["order"] = torch.from_numpy(order.astype(np.int32))
    else:
        again = Basis.of(rows[torch.from_numpy(order)] if rows is not None else torch.empty(0))
        tensors |= {"basis": again.rows, "basis_scale": again.scale}
    config = {
        **options.to_json(),
        "tables": SIGMA_TABLES,
        "channels": len(bulk.mean),
        "quality": quality.to_json() if quality else None,
    }
    return Profile("klt", config, tensors)


def _spreads(columns: Floats, sigma: Floats, quality: Quality | None) -> tuple[Floats, NDArray[np.uint8]]:
    """Spreads of columns whose tokens are told by energy, and the energies; the two are brought to agree."""
    step = np.float32(np.sqrt(12 * np.square(sigma, dtype=np.float64).mean() * 10 ** (-_aims(quality)[0] / 10)))
    for _ in range(3):
        energies = energies_of(columns, sigma, step)
        plain = columns / FACTORS[energies][:, None]
        sigma = np.sqrt(np.square(plain, dtype=np.float64).mean(0)).astype(np.float32)
        sigma = np.maximum.accumulate(sigma[::-1])[::-1].astype(np.float32)
    return np.ascontiguousarray(sigma), energies


def _energy_table(energies: NDArray[np.uint8]) -> NDArray[np.uint16]:
    counts = np.zeros(SYMBOLS, np.int64)
    counts[:ENERGIES] = 1 + 64 * np.bincount(energies, minlength=ENERGIES)
    return normalise(counts)
