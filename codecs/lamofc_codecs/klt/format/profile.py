"""The parameters that a profile of `klt` holds, checked and prepared for coding."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray

from lamofc_codecs.entropy import CLASSES, SIGMA_TABLES, SLOTS, Tables
from lamofc_codecs.errors import CodecError
from lamofc_codecs.klt.format.options import KltOptions
from lamofc_codecs.klt.format.stored_matrices import read_basis, read_codebook, read_table
from lamofc_codecs.klt.quantise import CLASS_FACTORS, SIXTEENTHS, TOKEN_CLASSES, Deadzone
from lamofc_codecs.klt.transform import (
    BANDS,
    Analysis,
    Basis,
    CodingSpace,
    ErrorWeights,
    TokenCodebook,
    TokenGrid,
    TokenGridRule,
    single_range,
)
from lamofc_codecs.options import parse_options
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality, is_finite_number
from lamofc_codecs.runtime import Doubles, Floats, lazy
from lamofc_codecs.stats import Bulk, WaterFilling

UNIT_BAND_CODE = 128
"""Code of a band in which a column has the spread that it has over all bands."""
BAND_FACTORS: Floats = np.exp2((np.arange(256) - UNIT_BAND_CODE) / 6).astype(np.float32)
"""Factor by which each band code multiplies the spread of a column, rounded to float32."""


@dataclass(frozen=True, eq=False)
class KltParameters:
    """All that coding needs besides the sample."""

    space: CodingSpace
    basis: Basis | None
    """None where each channel is a column by itself."""
    sigma: Floats
    """Spread of each column, falling."""
    band_codes: NDArray[np.uint8] | None
    """Bands x columns: spread over that of all bands, in sixths of an octave from `UNIT_BAND_CODE` on; None without a
    block DCT."""
    grid_rule: TokenGridRule | None
    """Grids that tokens may lie on; None without a block DCT."""
    order: NDArray[np.int64]
    """Channel of each column, without a basis."""
    offsets: NDArray[np.uint8]
    """Reconstruction offsets of each sigma class, in sixteenths of a step: of magnitude 1, and of larger ones."""
    token_class_table: Tables
    """Table of the token classes."""
    codebook: TokenCodebook | None
    parts: tuple[tuple[str, int], ...]
    """Names and channels of the features of a group; empty for a single feature."""
    options: KltOptions
    quality: Quality | None
    nats: float | None
    """Expected divergence for each unit of weighted squared error of a token; None where it is not known."""
    usual_energy: float | None
    """Weighted energy of the median token, where the encoder looks for sinks."""

    @property
    def bulk(self) -> Bulk:
        """The bulk of the features' own values."""
        return self.space.bulk

    @property
    def error_weights(self) -> ErrorWeights:
        """Weights of errors: uniform but for groups and where a weight was given."""
        return self.space.error_weights

    @property
    def channels(self) -> int:
        """Channels of all features together."""
        return len(self.bulk.mean)

    @property
    def columns(self) -> int:
        """Number of columns."""
        return len(self.sigma)

    @lazy
    def spreads(self) -> Floats:
        """Bands x columns: spread in a token of the average class."""
        return self.sigma[None] if self.band_codes is None else self.sigma * BAND_FACTORS[self.band_codes]

    @lazy
    def variance(self) -> Doubles:
        """Bands x columns: variance over tokens of all classes."""
        shares = self.token_class_table.freqs[0, :TOKEN_CLASSES] / SLOTS
        mean_factor = float((shares * np.square(CLASS_FACTORS, dtype=np.float64)).sum())
        return mean_factor * np.square(self.spreads, dtype=np.float64)

    def water_filling(
        self, energy: float, band: NDArray[np.uint8], columns: int, irreducible: float = 0.0
    ) -> WaterFilling:
        """Predict the first columns of a sample from their energy and the bands of its tokens."""
        variance, tokens = self.variance[:, :columns], np.bincount(band, minlength=len(self.spreads)).astype(np.float64)
        average = float(tokens @ variance.sum(1))
        scale = energy / average if average > 0 and energy > 0 else 1.0
        return WaterFilling(variance * scale, tokens, irreducible)

    def scale_of_channels(self, unit: np.float32) -> Floats:
        """Return what a sum of columns is worth in each channel, given the value of a sixteenth of a step."""
        if self.basis is not None:
            scale: Floats = self.basis.scale.numpy() * unit
            return scale
        with np.errstate(over="ignore"):
            scale = unit / self.error_weights.weight
        return np.where(
            np.isfinite(scale), scale, np.float32(0)
        )  # of a channel without levels, 0 times infinity is NaN

    @property
    def weighted(self) -> bool:
        """Whether the errors of a feature's channels do not count alike."""
        return self.weighs and not self.error_weights.uniform

    @property
    def weighs(self) -> bool:
        """Whether a weight was given, in whose units errors are told, though all may count alike."""
        return self.options.weight is not None

    def grids(self, tokens: int) -> tuple[TokenGrid, ...]:
        """Grids that so many tokens may lie on; the empty one without a block DCT."""
        return (TokenGrid(),) if self.grid_rule is None else self.grid_rule.grids(tokens)

    @property
    def widths(self) -> list[int]:
        """Channels of each part; of a single feature, all of them."""
        return [channels for _, channels in self.parts] or [self.channels]

    @lazy
    def bounds(self) -> list[int]:
        """First channel of each part, and the end."""
        return [0, *accumulate(self.widths)]

    @lazy
    def importance(self) -> Doubles:
        """Weight of a squared error in each part."""
        return np.square(self.error_weights.weight[self.bounds[:-1]].astype(np.float64))

    @lazy
    def analysis(self) -> Analysis | None:
        """The transform from weighted channels to columns."""
        if self.basis is None:
            return None
        stretched = len(self.error_weights.stretches) > 0
        ranges = single_range(self.columns, self.channels) if stretched else self.basis.ranges
        return Analysis(self.error_weights.weigh_rows(self.basis.floats()), ranges)

    @lazy
    def error_gains(self) -> Doubles:
        """Squared error in the weighted channels for each squared error of one in a column."""
        return np.ones(self.columns) if self.analysis is None else self.analysis.error_gains

    @lazy
    def part_gains(self) -> tuple[Doubles, Doubles]:
        """Squared error, and weighted squared error, of each part for one in a column: parts x columns of both."""
        if self.basis is None:
            part = np.repeat(np.arange(len(self.widths)), self.widths)[self.order]
            within = (part == np.arange(len(self.widths))[:, None]).astype(np.float64)
            return within / np.square(self.error_weights.weight[self.order], dtype=np.float64), within
        rows = self.basis.floats()
        both = rows.square(), self.error_weights.weigh_rows(rows).square()
        plain, weighted = (
            torch.stack([part.sum(1) for part in torch.split(every, self.widths, 1)]).numpy() for every in both
        )
        return plain, weighted

    @lazy
    def weighted_codebook(self) -> TokenCodebook | None:
        """The codebook for weighted channels."""
        if self.codebook is None:
            return None
        return TokenCodebook(self.codebook.basis, self.codebook.table, self.error_weights)

    @lazy
    def stride(self) -> NDArray[np.int32]:
        """Steps between neighbouring levels of each column."""
        stride = None if self.basis is None else self.basis.stride
        return np.ones(self.columns, np.int32) if stride is None else stride.numpy()

    @lazy
    def deadzone(self) -> Deadzone:
        """The quantiser of the encoder."""
        return Deadzone.from_offsets(self.offsets)

    @classmethod
    def from_profile(cls, profile: Profile) -> KltParameters:
        """Read and check a profile, which may come from anybody."""
        config = dict(profile.config)
        tables, quality, channels, listed, rule_config, rotary, nats, usual_energy = (
            config.pop(name, None)
            for name in ("tables", "quality", "channels", "parts", "terrain", "rotary", "nats", "usual_energy")
        )
        bulk = Bulk.required(profile)
        if tables != SIGMA_TABLES or channels != len(bulk.mean):
            raise CodecError(
                f"profile {profile.id[:12]} wants tables {tables}, says {channels} channels, has {len(bulk.mean)}",
                "upgrade lamofc-store, or fit the profile again",
            )
        options = parse_options(KltOptions, config, f"profile {profile.id[:12]}")
        sigma = profile.tensor("sigma", torch.float32, -1).numpy()
        offsets = profile.tensor("drawn", torch.uint8, CLASSES, 2).numpy()
        table = read_table(profile, "energies")
        if not _falling(sigma) or offsets.max() > SIXTEENTHS // 2 or table.freqs[0, TOKEN_CLASSES:].any():
            raise CodecError(
                f"profile {profile.id[:12]} holds spreads that do not fall, offsets above {SIXTEENTHS // 2}, "
                f"or token classes above {TOKEN_CLASSES - 1}",
                "fit it again",
            )
        basis = read_basis(profile, len(sigma), channels)
        parts = _parts(profile, channels, listed)
        widths = [count for _, count in parts] or [channels]
        error_weights = ErrorWeights.from_profile(profile, widths)
        bands = profile.tensor("bands", torch.uint8, BANDS, len(sigma)).numpy() if rule_config is not None else None
        return cls(
            space=CodingSpace.from_profile(profile, bulk, error_weights, rotary, widths),
            basis=basis,
            sigma=sigma,
            band_codes=bands,
            grid_rule=None if rule_config is None else _grid_rule(profile, rule_config),
            order=_order(profile, len(sigma), channels) if basis is None else np.empty(0, np.int64),
            offsets=offsets,
            token_class_table=table,
            codebook=read_codebook(profile, basis, channels),
            parts=parts,
            options=options,
            quality=Quality.from_json(quality) if quality else None,
            nats=None if nats is None else _positive(profile, "nats", nats),
            usual_energy=None if usual_energy is None else _positive(profile, "usual_energy", usual_energy),
        )


def _positive(profile: Profile, name: str, value: object) -> float:
    """Read a number of the config that must be above 0."""
    if not is_finite_number(value) or value <= 0:
        raise CodecError(f"profile {profile.id[:12]} has {name}={value!r}; expected a number above 0", "fit it again")
    return float(value)


def _falling(sigma: Floats) -> bool:
    return bool(np.isfinite(sigma).all() and (sigma >= 0).all() and (np.diff(sigma) <= 0).all())


def _order(profile: Profile, columns: int, channels: int) -> NDArray[np.int64]:
    """Read the order of the channels where they are not transformed."""
    order = profile.tensor("order", torch.int32, columns).numpy().astype(np.int64)
    if columns != channels or not np.array_equal(np.sort(order), np.arange(channels)):
        raise CodecError(f"profile {profile.id[:12]} does not order {channels} channels", "fit it again")
    return order


def _grid_rule(profile: Profile, rule_config: object) -> TokenGridRule:
    match rule_config:
        case {"first": int(prefix), "sequence": bool(sequence), **several} if 0 <= prefix < 1 << 31:
            if several in ({}, {"several": True}):
                return TokenGridRule(prefix, sequence, bool(several))
    raise CodecError(f"profile {profile.id[:12]} has a token grid rule {rule_config}", "fit it again")


def _parts(profile: Profile, channels: int, parts: object) -> tuple[tuple[str, int], ...]:
    """Read the parts of a group's profile, which has weights; none for a single feature."""
    if parts is None:
        return ()
    listed = parts if isinstance(parts, list) else []
    named = tuple((str(part[0]), int(part[1])) for part in listed if isinstance(part, list) and len(part) == 2)
    by_channel = "weight" in profile.tensors
    valid = len({name for name, _ in named}) == len(listed) > 1 and min(count for _, count in named) > 0
    if not valid or sum(count for _, count in named) != channels or not by_channel:
        raise CodecError(f"profile {profile.id[:12]} names parts {parts} of {channels} channels", "fit it again")
    return named
