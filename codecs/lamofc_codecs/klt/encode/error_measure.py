"""The measure of a sample's errors by a quality: the weights of parts and directions, the bulk, and the budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.errors import BadQuality
from lamofc_codecs.klt.format import KltParameters
from lamofc_codecs.klt.quantise import token_energies
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Doubles, Floats, convert
from lamofc_codecs.source import Source
from lamofc_codecs.stats import (
    Distortion,
    error_budget,
    error_share,
    item_distortions,
    measure_distortion,
    sum_by_item,
    total_distortion,
)

Tokens = slice | NDArray[np.int64]
ALL_TOKENS = slice(None)


@dataclass(frozen=True, eq=False)
class ErrorMeasure:
    """The quality of one sample, in units of weighted squared error."""

    source: Source
    parameters: KltParameters
    quality: Quality
    energies: Doubles
    """Weighted energy of each centred token."""
    signal: float
    """Weighted energy that signal-to-noise ratios refer to."""

    @classmethod
    def of(cls, energies: Doubles, source: Source, parameters: KltParameters, quality: Quality) -> ErrorMeasure:
        """Measure the signal of a source, given the energies of its tokens, weighted and centred.

        It is the sum over features of a group, weighted by importance; or over all tokens where the errors of one
        feature's channels do not count alike.
        """
        if parameters.weighted:
            return cls(source, parameters, quality, energies, float(energies.sum()))
        signal = float(sum(parameters.importance * [sums.signal for sums in source.part_sums]))
        return cls(source, parameters, quality, energies, signal)

    @property
    def budget(self) -> float:
        """The squared error that the quality allows; infinite for a quality that does not speak of error.

        Features of a group are weighted so that they count alike, so the budget is a share of all their signals.
        """
        if self.quality.kind == "mse":
            sizes = [tensor.numel() for tensor in self.source.tensors]
            even = self.parameters.weighted
            return self.quality.value * float(sum(sizes) if even else sum(self.parameters.importance * sizes))
        if self.quality.kind == "kl":
            return self._per_token * self.source.tokens
        if self.quality.kind != "snr_db":
            return math.inf
        return error_budget(self.signal, self.quality.value)

    @property
    def _per_token(self) -> float:
        """Weighted squared error of a token that leads to the divergence of the quality."""
        nats = self.parameters.nats
        if nats is None:
            raise BadQuality(
                f"the profile does not know errors in nats, got {self.quality}",
                "fit with weight= the root of a Fisher matrix and weight_nats=0.5",
            )
        return self.quality.value / nats

    def item_budgets(self) -> Doubles:
        """The squared error that the quality allows each item."""
        items = self.source.items
        if self.quality.kind == "mse":
            return self.quality.value * self.source.channels * np.array(items, np.float64)
        if self.quality.kind == "kl":
            return self._per_token * np.array(items, np.float64)
        return self._item_signals() * error_share(self.quality.value)

    def _item_signals(self) -> Doubles:
        """The energy that signal-to-noise ratios of each item refer to: about the means of the bulk, or weighted."""
        source, space = self.source, self.parameters.space
        if self.parameters.weighted or not space.positioned:
            return sum_by_item(self.energies, source.items)
        centred = np.where(space.bulk.outside(source.values), 0, source.values - space.bulk.mean)
        return sum_by_item(token_energies(centred), source.items)

    def measure(
        self, decoded: Sequence[Tensor], tokens: Tokens = ALL_TOKENS, *, roughly: bool = False
    ) -> tuple[Distortion, ...]:
        """Measure the distortion of each part of some tokens, weighted where the profile weighs errors.

        Roughly measured, weighted errors are right to a part in a thousand, and take half the time.
        """
        parameters, source = self.parameters, self.source
        bounds = list(pairwise(parameters.bounds))
        bulks = [parameters.bulk.of_channels(first, last) for first, last in bounds]
        told = [self._told(number, tokens) for number in range(len(bulks))]
        plain = [measure_distortion(*three) for three in zip(told, decoded, bulks, strict=True)]
        if not parameters.weighs:
            return tuple(plain)
        values = [convert(tensor, torch.float32).numpy() for tensor in decoded]
        if roughly:
            errors = self._errors(values, tokens)
            sums = parameters.space.error_energies(errors, source.positions[tokens], parameters.bounds)
        else:
            errors = self._weighted_errors(values, tokens)
            sums = [float(token_energies(np.ascontiguousarray(errors[:, a:b])).sum()) for a, b in bounds]
        return tuple(replace(part, weighted_sse=sse) for part, sse in zip(plain, sums, strict=True))

    def _told(self, part: int, tokens: Tokens) -> Floats | Tensor:
        """Return some tokens of a part of the source."""
        if self.source.without_lost is not None:
            return np.ascontiguousarray(self.source.part(part)[tokens])
        return self.source.tensors[part][tokens if isinstance(tokens, slice) else torch.from_numpy(tokens)]

    def measure_items(self, decoded: Sequence[Tensor]) -> tuple[Distortion, ...]:
        """Do so for each of several items of one feature."""
        source = self.source
        values = convert(decoded[0], torch.float32).numpy()
        plain = item_distortions(source.values, values, self.parameters.bulk, source.items)
        if not self.parameters.weighs:
            return plain
        weighted = sum_by_item(self.token_errors(decoded), source.items)
        return tuple(replace(item, weighted_sse=float(sse)) for item, sse in zip(plain, weighted, strict=True))

    def error(self, distortion: Sequence[Distortion]) -> float:
        """The squared error as the quality counts it: of the bulk for `snr_db`, the rest being no worse on average."""
        if self.parameters.weighted:
            return total_distortion(distortion).weighted_sse or 0.0
        errors = [part.sse for part in distortion]
        if self.quality.kind == "snr_db":
            parts = zip(distortion, self.source.part_sums, self.source.tensors, strict=True)
            errors = [max(part.bulk_sse, part.sse * sums.bulk / max(t.numel(), 1)) for part, sums, t in parts]
        return float(sum(self.parameters.importance * errors))

    def token_errors(self, decoded: Sequence[Tensor]) -> Doubles:
        """The weighted squared error of each token."""
        return token_energies(self._weighted_errors([convert(tensor, torch.float32).numpy() for tensor in decoded]))

    def _weighted_errors(self, values: Sequence[Floats], tokens: Tokens = ALL_TOKENS) -> Floats:
        """Return the weighted errors of decoded parts, tokens x channels of all parts."""
        return self.parameters.space.weigh_errors(self._errors(values, tokens), self.source.positions[tokens])

    def _errors(self, values: Sequence[Floats], tokens: Tokens) -> Floats:
        """Return the errors of decoded parts side by side, 0 for values that are not finite."""
        decoded = values[0] if len(values) == 1 else np.concatenate(values, axis=1)
        error: Floats = self.source.rows(tokens) - decoded
        if not np.isfinite(error.sum()):
            np.nan_to_num(error, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return error
