"""What a profile of `klt` holds, checked and made ready."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray

from lamofc_codecs.entropy import CLASSES, SIGMA_TABLES, SLOTS, SYMBOLS, Tables
from lamofc_codecs.errors import CodecError
from lamofc_codecs.klt.format.options import KltOptions
from lamofc_codecs.klt.quantise import ENERGIES, FACTORS, PARTS, Rounding
from lamofc_codecs.klt.transform import (
    BANDS,
    MOST,
    Analysis,
    Basis,
    ErrorWeights,
    TokenCodebook,
    TokenGrid,
    TokenGridRule,
    in_one,
)
from lamofc_codecs.options import parse_options
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Doubles, Floats, lazy
from lamofc_codecs.stats import Bulk, WaterFilling

AS_LOUD = 128
"""A band's number where a column is as loud in it as on the whole."""
LOUDER: Floats = np.exp2((np.arange(256) - AS_LOUD) / 6).astype(np.float32)
"""By what a band's number multiplies a column's spread, rounded to float32."""


@dataclass(frozen=True, eq=False)
class KltParameters:
    """All that coding needs besides the sample."""

    bulk: Bulk
    basis: Basis | None
    """None where each channel is a column by itself."""
    sigma: Floats
    """Of each column, falling."""
    bands: NDArray[np.uint8] | None
    """Bands x columns: how much louder than on the whole, in sixths of an octave from `AS_LOUD` on; or no waves."""
    terrain: TokenGridRule | None
    """What fields tokens lie on, where they are turned into waves."""
    order: NDArray[np.int64]
    """The channel of each column, without a basis."""
    drawn: NDArray[np.uint8]
    energies: Tables
    """Of the tokens' energy classes."""
    means: TokenCodebook | None
    metric: ErrorWeights
    """What errors count for: alike, but for groups and where a weight was given."""
    parts: tuple[tuple[str, int], ...]
    """Names and channels of the features of a group; none for a single feature."""
    options: KltOptions
    quality: Quality | None

    @property
    def channels(self) -> int:
        """Channels of the feature."""
        return len(self.bulk.mean)

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return len(self.sigma)

    @lazy
    def spreads(self) -> Floats:
        """Bands x columns, of a token of the usual energy."""
        return self.sigma[None] if self.bands is None else self.sigma * LOUDER[self.bands]

    @lazy
    def variance(self) -> Doubles:
        """Of each band and column over tokens of all energies."""
        shares = self.energies.freqs[0, :ENERGIES] / SLOTS
        loud = float((shares * np.square(FACTORS, dtype=np.float64)).sum())
        return loud * np.square(self.spreads, dtype=np.float64)

    def theory(self, energy: float, band: NDArray[np.uint8], columns: int, rest: float = 0.0) -> WaterFilling:
        """What to expect of the first columns of a sample, given their energy and the bands of its tokens."""
        variance, tokens = self.variance[:, :columns], np.bincount(band, minlength=len(self.spreads)).astype(np.float64)
        usual = float(tokens @ variance.sum(1))
        return WaterFilling(variance * (energy / usual if usual > 0 and energy > 0 else 1.0), tokens, rest)

    @property
    def weighted(self) -> bool:
        """Whether errors of a feature's channels do not count alike."""
        return not self.parts and not self.metric.even

    def fields(self, tokens: int) -> tuple[TokenGrid, ...]:
        """What fields so many tokens may lie on; one that holds none without waves."""
        return (TokenGrid(),) if self.terrain is None else self.terrain.fields(tokens)

    @property
    def widths(self) -> list[int]:
        """Channels of each part; of a single feature, all of them."""
        return [channels for _, channels in self.parts] or [self.channels]

    @lazy
    def bounds(self) -> list[int]:
        """Where each part's channels begin, and the end."""
        return [0, *accumulate(self.widths)]

    @lazy
    def importance(self) -> Doubles:
        """Of each part: what a squared error in it counts for."""
        return np.square(self.metric.weight[self.bounds[:-1]].astype(np.float64))

    @lazy
    def analysis(self) -> Analysis | None:
        """The transform of weighted channels."""
        if self.basis is None:
            return None
        ranges = in_one(self.columns, self.channels) if len(self.metric.directions) else self.basis.ranges
        return Analysis(self.metric.rows(self.basis.floats()), ranges)

    @lazy
    def analysis_means(self) -> TokenCodebook | None:
        """The means of weighted channels."""
        return None if self.means is None else TokenCodebook(self.means.basis, self.means.table, self.metric)

    @lazy
    def stride(self) -> NDArray[np.int32]:
        """Of each column: how many steps lie between neighbouring numbers."""
        given = None if self.basis is None else self.basis.stride
        return np.ones(self.columns, np.int32) if given is None else given.numpy()

    @lazy
    def rounding(self) -> Rounding:
        """How values become numbers."""
        return Rounding.of(self.drawn)

    @classmethod
    def of(cls, profile: Profile) -> KltParameters:
        """Read a profile; it may come from anybody."""
        config = dict(profile.config)
        tables, quality, channels, parts, terrain = (
            config.pop(name, None) for name in ("tables", "quality", "channels", "parts", "terrain")
        )
        bulk = Bulk.required(profile)
        if tables != SIGMA_TABLES or channels != len(bulk.mean):
            raise CodecError(
                f"profile {profile.id[:12]} wants tables {tables}, says {channels} channels, has {len(bulk.mean)}",
                "upgrade lamofc-store, or fit the profile again",
            )
        options = parse_options(KltOptions, config, f"profile {profile.id[:12]}")
        sigma = profile.tensor("sigma", torch.float32, -1).numpy()
        drawn = profile.tensor("drawn", torch.uint8, CLASSES, 2).numpy()
        energies = _table(profile, "energies")
        if not _sane(sigma) or drawn.max() > PARTS // 2 or energies.freqs[0, ENERGIES:].any():
            raise CodecError(f"profile {profile.id[:12]} holds spreads or tables that cannot be", "fit it again")
        basis, order = _transform(profile, len(sigma), channels)
        metric = ErrorWeights.read(profile, channels)
        return cls(
            bulk=bulk,
            basis=basis,
            sigma=sigma,
            bands=profile.tensor("bands", torch.uint8, BANDS, len(sigma)).numpy() if terrain is not None else None,
            terrain=None if terrain is None else _terrain(profile, terrain),
            order=order,
            drawn=drawn,
            energies=energies,
            means=_means(profile, channels),
            metric=metric,
            parts=_group(profile, metric, parts),
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
        scale, stride = profile.tensor("basis_scale", torch.float32, channels), None
        if "basis_stride" in profile.tensors:
            stride = profile.tensor("basis_stride", torch.uint8, columns).to(torch.int32)
        return Basis(rows, scale, stride), np.empty(0, np.int64)
    order = profile.tensor("order", torch.int32, columns).numpy().astype(np.int64)
    if columns != channels or not np.array_equal(np.sort(order), np.arange(channels)):
        raise CodecError(f"profile {profile.id[:12]} does not order {channels} channels", "fit it again")
    return None, order


def _terrain(profile: Profile, given: object) -> TokenGridRule:
    match given:
        case {"first": int(first), "sequence": bool(sequence), **rest} if 0 <= first < 1 << 31:
            if rest in ({}, {"several": True}):
                return TokenGridRule(first, sequence, bool(rest))
    raise CodecError(f"profile {profile.id[:12]} says that tokens lie as {given}", "fit it again")


def _group(profile: Profile, metric: ErrorWeights, parts: object) -> tuple[tuple[str, int], ...]:
    """Parts of a group's profile, each weighed by itself; none for a single feature."""
    if parts is None:
        return ()
    channels = len(metric.weight)
    listed = parts if isinstance(parts, list) else []
    named = tuple((str(part[0]), int(part[1])) for part in listed if isinstance(part, list) and len(part) == 2)
    whole = "weight" in profile.tensors and not len(metric.directions)
    sane = len({name for name, _ in named}) == len(listed) > 1 and min(count for _, count in named) > 0
    if not sane or sum(count for _, count in named) != channels or not whole:
        raise CodecError(f"profile {profile.id[:12]} names parts {parts} of {channels} channels", "fit it again")
    return named


def _means(profile: Profile, channels: int) -> TokenCodebook | None:
    if "means" not in profile.tensors:
        return None
    rows = profile.tensor("means", torch.int8, -1, channels)
    if not 1 <= len(rows) <= MOST:
        raise CodecError(f"profile {profile.id[:12]} has {len(rows)} means; expected 1 to {MOST}", "fit it again")
    return TokenCodebook(
        Basis(rows, profile.tensor("means_scale", torch.float32, channels)), _table(profile, "mean_numbers")
    )
