"""What a profile of `klt` holds, checked and made ready."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lamofc_codecs.basis import Basis
from lamofc_codecs.bulk import Bulk, Doubles, Floats
from lamofc_codecs.deadzone import PARTS, Rounding
from lamofc_codecs.energy import ENERGIES, FACTORS
from lamofc_codecs.errors import CodecError
from lamofc_codecs.klt_options import KltOptions
from lamofc_codecs.lazy import lazy
from lamofc_codecs.means import MOST, Means
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.tables import CLASSES, SIGMA_TABLES, SLOTS, SYMBOLS, Tables
from lamofc_codecs.theory import Theory


@dataclass(frozen=True, eq=False)
class Parameters:
    """All that coding needs besides the sample."""

    bulk: Bulk
    basis: Basis | None
    """None where each channel is a column by itself."""
    sigma: Floats
    """Of each column, falling."""
    order: NDArray[np.int64]
    """The channel of each column, without a basis."""
    drawn: NDArray[np.uint8]
    energies: Tables
    """Of the tokens' energy classes."""
    means: Means | None
    options: KltOptions
    quality: Quality | None

    @property
    def channels(self) -> int:
        """Channels of the feature."""
        return len(self.bulk.mean)

    @lazy
    def variance(self) -> Doubles:
        """Of each column over tokens of all energies."""
        shares = self.energies.freqs[0, :ENERGIES] / SLOTS
        loud = float((shares * np.square(FACTORS, dtype=np.float64)).sum())
        return loud * np.square(self.sigma, dtype=np.float64)

    def theory(self, energy: float, tokens: int, columns: int, rest: float) -> Theory:
        """What to expect of the first columns of a sample, given their energy over all tokens."""
        variance = self.variance[:columns]
        usual = tokens * float(variance.sum())
        return Theory(variance * (energy / usual if usual > 0 and energy > 0 else 1.0), tokens, rest)

    @lazy
    def rounding(self) -> Rounding:
        """How values become numbers."""
        return Rounding.of(self.drawn)

    @classmethod
    def of(cls, profile: Profile) -> Parameters:
        """Read a profile; it may come from anybody."""
        config = dict(profile.config)
        tables, quality, channels = (config.pop(name, None) for name in ("tables", "quality", "channels"))
        bulk = Bulk.required(profile)
        if tables != SIGMA_TABLES or channels != len(bulk.mean):
            raise CodecError(
                f"profile {profile.id[:12]} wants tables {tables}, says {channels} channels, has {len(bulk.mean)}",
                "upgrade lamofc-store, or fit the profile again",
            )
        try:
            options = KltOptions.of(config)
        except TypeError as error:
            raise CodecError(f"profile {profile.id[:12]}: {error}", "upgrade lamofc-store") from error
        sigma = profile.tensor("sigma", torch.float32, -1).numpy()
        drawn = profile.tensor("drawn", torch.uint8, CLASSES, 2).numpy()
        energies = _table(profile, "energies")
        if not _sane(sigma) or drawn.max() > PARTS // 2 or energies.freqs[0, ENERGIES:].any():
            raise CodecError(f"profile {profile.id[:12]} holds spreads or tables that cannot be", "fit it again")
        basis, order = _transform(profile, len(sigma), channels)
        return cls(
            bulk=bulk,
            basis=basis,
            sigma=sigma,
            order=order,
            drawn=drawn,
            energies=energies,
            means=_means(profile, channels),
            options=options,
            quality=Quality.from_json(quality) if quality else None,
        )


def _sane(sigma: Floats) -> bool:
    return bool(np.isfinite(sigma).all() and (sigma >= 0).all() and (np.diff(sigma) <= 0).all())


def _table(profile: Profile, name: str) -> Tables:
    freqs = profile.tensor(name, torch.int32, SYMBOLS).numpy()
    return Tables(np.ascontiguousarray(np.clip(freqs, 0, (1 << 16) - 1).astype(np.uint16)[None]))


def _transform(profile: Profile, columns: int, channels: int) -> tuple[Basis | None, NDArray[np.int64]]:
    if "basis" in profile.tensors:
        rows = profile.tensor("basis", torch.int8, columns, channels)
        return Basis(rows, profile.tensor("basis_scale", torch.float32, channels)), np.empty(0, np.int64)
    order = profile.tensor("order", torch.int32, columns).numpy().astype(np.int64)
    if columns != channels or not np.array_equal(np.sort(order), np.arange(channels)):
        raise CodecError(f"profile {profile.id[:12]} does not order {channels} channels", "fit it again")
    return None, order


def _means(profile: Profile, channels: int) -> Means | None:
    if "means" not in profile.tensors:
        return None
    rows = profile.tensor("means", torch.int8, -1, channels)
    if not 1 <= len(rows) <= MOST:
        raise CodecError(f"profile {profile.id[:12]} has {len(rows)} means; expected 1 to {MOST}", "fit it again")
    return Means(Basis(rows, profile.tensor("means_scale", torch.float32, channels)), _table(profile, "mean_numbers"))
