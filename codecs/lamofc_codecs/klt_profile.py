"""The profile of `klt`: what was fitted, as it is stored, and the spreads and tables that are measured through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.basis import Basis
from lamofc_codecs.bulk import Bulk, Floats
from lamofc_codecs.deadzone import fit_drawn
from lamofc_codecs.energy import ENERGIES, FACTORS, energies_of
from lamofc_codecs.histogram import normalise
from lamofc_codecs.klt_options import KltOptions
from lamofc_codecs.means import Means
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.tables import SIGMA_TABLES, SYMBOLS, Tables

_SHOWN = 1 << 19
"""Values that the drawing inwards is measured on."""


@dataclass(frozen=True)
class Fitted:
    """What is known before the transform."""

    bulk: Bulk
    weight: Floats
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


def make_profile(fitted: Fitted, test: Tensor, measured: Transform | None, final: Transform | None) -> Profile:
    """A profile of the final transform, none for channels as they are.

    Spreads and tables are those of weighted tokens that were held out, under the transform fitted without them: each
    column of the final one takes the spread of its rank.
    """
    away, weight = test.numpy(), torch.from_numpy(fitted.weight)
    tensors: dict[str, Tensor] = dict(fitted.bulk.tensors())
    if measured is not None and final is not None and measured.means is not None and final.means is not None:
        even = Tables(normalise(np.ones(SYMBOLS, np.int64))[None])
        away, numbers = _without_means(away, Means(Basis.of(measured.means), even))
        stored = Basis.of(final.means / weight)
        tensors |= {"means": stored.rows, "means_scale": stored.scale, "mean_numbers": _stored(numbers)}
    columns = away if measured is None else Basis.of(measured.rows).forward(away)
    sigma = np.sqrt(np.square(columns, dtype=np.float64).mean(0)).astype(np.float32)
    order = np.argsort(-sigma, kind="stable")
    columns = np.ascontiguousarray(columns[:, order])
    sigma, energies = _spreads(columns, sigma[order], fitted.aim_db)
    tensors |= {
        "sigma": torch.from_numpy(sigma),
        "drawn": torch.from_numpy(_drawn(columns, sigma, energies)),
        "energies": _stored(_energy_table(energies)),
    }
    if final is None:
        tensors["order"] = torch.from_numpy(order.astype(np.int32))
    else:
        basis = Basis.of(final.rows / weight)
        tensors |= {"basis": basis.rows, "basis_scale": basis.scale}
    config: dict[str, object] = {
        **fitted.options.to_json(),
        "tables": SIGMA_TABLES,
        "channels": len(weight),
        "quality": fitted.quality.to_json() if fitted.quality else None,
    }
    if fitted.parts:
        config["parts"] = [[name, channels] for name, channels in fitted.parts]
        tensors["weight"] = weight
    return Profile("klt", config, tensors)


def _stored(table: NDArray[np.uint16]) -> Tensor:
    return torch.from_numpy(table.astype(np.int32))


def _without_means(away: Floats, book: Means) -> tuple[Floats, NDArray[np.uint16]]:
    """Tokens less their means, and the table of the means' numbers."""
    index = book.nearest(away)
    upper = np.zeros(SYMBOLS, np.int64)
    np.add.at(upper, np.arange(book.count) >> book.shift, 16 * np.bincount(index, minlength=book.count) + 1)
    left: Floats = away - book.take(index)
    return left, normalise(upper)


def _drawn(columns: Floats, sigma: Floats, energies: NDArray[np.uint8]) -> NDArray[np.uint8]:
    stride = max(1, columns.size // _SHOWN)
    loud = sigma > 0
    unit = columns[::stride, loud] / sigma[loud] / FACTORS[energies[::stride]][:, None]
    return fit_drawn(unit)


def _spreads(columns: Floats, sigma: Floats, aim_db: float) -> tuple[Floats, NDArray[np.uint8]]:
    """Spreads of columns whose tokens are told by energy, and the energies; the two are brought to agree."""
    power = float(np.square(sigma, dtype=np.float64).mean()) if len(sigma) else 0.0
    step = np.float32(np.sqrt(12 * power * 10 ** (-aim_db / 10)))
    energies = energies_of(columns, sigma, step)
    for _ in range(3):
        plain = columns / FACTORS[energies][:, None]
        sigma = np.sqrt(np.square(plain, dtype=np.float64).mean(0)).astype(np.float32)
        sigma = np.maximum.accumulate(sigma[::-1])[::-1].copy()
        energies = energies_of(columns, sigma, step)
    return sigma, energies


def _energy_table(energies: NDArray[np.uint8]) -> NDArray[np.uint16]:
    counts = np.zeros(SYMBOLS, np.int64)
    counts[:ENERGIES] = 1 + 64 * np.bincount(energies, minlength=ENERGIES)
    return normalise(counts)
