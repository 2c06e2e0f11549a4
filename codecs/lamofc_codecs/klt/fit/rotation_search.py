"""The search for rotary positions that nobody states, on some samples of a feature.

Keys have a mean before they are turned. Candidates are ranked by how much of its energy the mean over all tokens keeps
when these are turned back. For the first few the rate is estimated, of tokens held out in the principal directions of
other samples; the best one is taken if it saves a share of the bits that chance does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.abilities import Settled
from lamofc_codecs.klt.fit.codebook_size import targets_of
from lamofc_codecs.klt.format import KltOptions
from lamofc_codecs.klt.transform import Positions, Rotary
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Doubles, Floats
from lamofc_codecs.stats import error_share, single_band

_MIN_SAMPLES, _MAX_SAMPLES, _MAX_TOKENS = 4, 64, 8192
"""Samples that a search needs; samples, and tokens of all of them, that it looks at."""
_MAX_VALUES = 1 << 26
"""Values of the samples that are read ahead of a fit, once these are as many as a search needs."""
_MIN_TOKENS = 128
"""Tokens in each half of the samples below which nothing is found."""
_MAX_ENERGY_RATIO = 16
"""Energy of a token over the median's above which it is left out, as attention sinks are."""
_BASES = (1e4, 2.5e4, 5e4, 1e5, 1.3e5, 1.6e5, 2.5e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1e8)
"""Thetas of published models, or near them: pair i of n turns by theta^(-i / n) a token."""
_SLOWED = ((1e4, 2), (1e4, 4), (1e5, 4), (1e6, 8))
"""Thetas of models whose pairs all turn slower by a factor, and the factor."""
_HEAD_CHANNELS = (8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 160, 192, 256, 512)
_TURNED_SHARES = (1.0, 0.75, 0.5, 0.4, 0.25)
"""Shares of a head's channels that models turn."""
_MIN_TURNED = 8
"""Channels of a head that are turned, at the least."""
_MAX_CHANNELS = 256
"""Channels on which candidates are compared: the first heads, or the first one if it is wider."""
_MAX_POSITIONS = 512
"""Different positions whose means are turned back to rank candidates."""
_LEAST_REMAINDER = 1e-3
"""Share of a pair's energy that remains about its mean, at the least, where candidates are ranked."""
_COMPARED = 5
"""Candidates whose rates are estimated."""
_MIN_SAVED = 0.03
"""Share of the bits that a rotation must save."""
_PAIRS: tuple[Literal["halves", "neighbours"], ...] = ("halves", "neighbours")


def settle_rotary(
    samples: Iterable[Any],
    first_positions: Sequence[int] | None,
    features: Sequence[str],
    quality: Quality | None,
    options: KltOptions,
) -> Settled:
    """Settle the rotations that the options leave open, on the first samples of a fit.

    `features` names the feature of samples that are no mappings.
    """
    stream = iter(samples)
    some = _read_ahead(stream, 1)
    grouped = bool(some) and isinstance(some[0], Mapping)
    names = sorted(some[0]) if grouped else [*features, ""][:1]
    sought = options.with_open_rotary(names)
    if not sought:
        options = replace(options, rotary=None) if isinstance(options.rotary, str) else options
        return Settled(options, chain(some, stream))
    some += _read_ahead(stream, _MAX_SAMPLES - 1)
    found = {name: find_rotary(_values_of(name, some), first_positions, targets_of(quality)) for name in sought}
    told = options.rotary if isinstance(options.rotary, Mapping) else {}
    turned: dict[str, Any] = {**told, **found}
    settled = turned if grouped else turned[names[0]]
    findings = {name: _words_for(rotary) for name, rotary in found.items() if rotary or options.rotary != "keys"}
    return Settled(replace(options, rotary=settled if any(turned.values()) else None), chain(some, stream), findings)


def _read_ahead(stream: Iterator[Any], count: int) -> list[Any]:
    """Read samples: fewer than `count` where they end, or hold more values than memory should."""
    some: list[Any] = []
    size = 0
    while len(some) < count and (size < _MAX_VALUES or len(some) < _MIN_SAMPLES):
        sample = next(stream, None)
        if sample is None:
            break
        some.append(sample)
        size += sum(map(Tensor.numel, sample.values())) if isinstance(sample, Mapping) else sample.numel()
    return some


def _values_of(name: str, samples: Sequence[Any]) -> list[Tensor]:
    """Return the tensors of a feature; none where a sample lacks it, which the fit will refuse."""
    tensors = [sample.get(name) if isinstance(sample, Mapping) else sample for sample in samples]
    present = [tensor for tensor in tensors if isinstance(tensor, Tensor)]
    return present if len(present) == len(samples) else []


def _words_for(rotary: Rotary | None) -> str:
    """Describe what a search found."""
    if rotary is None:
        return "no rotary positions found"
    count = len(rotary.frequencies)
    base = float(f"{(rotary.frequencies[1] / rotary.frequencies[0]) ** -count:.4g}")
    slower = "" if rotary.frequencies[0] == 1 else f", slowed {1 / rotary.frequencies[0]:g} times,"
    heads = f"{rotary.heads} heads" if rotary.heads > 1 else "1 head"
    return f"rotary positions of theta {base:g}{slower} found and undone ({count} pairs of {rotary.pairs}, {heads})"


def find_rotary(
    samples: Sequence[Tensor], first_positions: Sequence[int] | None, targets_db: Sequence[float]
) -> Rotary | None:
    """Return the rotation that saves most bits at these signal-to-noise ratios; None where none saves enough.

    `first_positions` holds the position of the first token of each sample; without it, they begin at 0.
    """
    tokens = _Tokens.of(samples, [0] * len(samples) if first_positions is None else first_positions)
    if tokens is None:
        return None
    saved = [(_saved_share(tokens, rotary, targets_db), rotary) for rotary in _leading(tokens)]
    share, best = max(saved, key=lambda pair: pair[0], default=(0.0, None))
    return best if share >= _MIN_SAVED else None


@dataclass(frozen=True, eq=False)
class _Tokens:
    """Tokens of every other sample, and of those between, which are held out."""

    values: Floats
    positions: Positions
    held_out: NDArray[np.bool_]

    @classmethod
    def of(cls, samples: Sequence[Tensor], first_positions: Sequence[int]) -> _Tokens | None:
        """Select finite tokens without extreme energy; None of samples that are too few, or no tokens x channels."""
        widths = {sample.shape[1] if sample.dim() == 2 and sample.dtype.is_floating_point else 0 for sample in samples}
        if len(samples) < _MIN_SAMPLES or len(widths) != 1 or min(widths) < _MIN_TURNED:
            return None
        stride = max(1, -(-sum(map(len, samples)) // _MAX_TOKENS))
        rows = [np.arange(number % stride, len(sample), stride) for number, sample in enumerate(samples)]
        values = np.concatenate(
            [sample.detach()[chosen].cpu().double().numpy() for sample, chosen in zip(samples, rows, strict=True)]
        )
        positions = np.concatenate([first + chosen for first, chosen in zip(first_positions, rows, strict=False)])
        held_out = np.repeat(np.arange(len(rows)) % 2 == 1, [len(chosen) for chosen in rows])
        finite = np.isfinite(values).all(1)
        values, positions, held_out = values[finite], positions[finite], held_out[finite]
        largest = float(np.abs(values).max(initial=0))
        if not largest:
            return None
        values = (values / largest).astype(np.float32)
        energies = np.square(values, dtype=np.float64).sum(1)
        usual = energies <= _MAX_ENERGY_RATIO * np.median(energies)
        tokens = cls(values[usual], positions[usual], held_out[usual])
        return tokens if min(tokens.held_out.sum(), (~tokens.held_out).sum()) >= _MIN_TOKENS else None

    @property
    def channels(self) -> int:
        return self.values.shape[1]

    def halves(self, channels: int, rotary: Rotary | None = None) -> tuple[Floats, Floats]:
        """Return the first channels of the tokens to fit on and of those held out, turned back by a rotation."""
        values = np.ascontiguousarray(self.values[:, :channels])
        if rotary is not None:
            rotary.turn(values, self.positions, back=True)
        return values[~self.held_out], values[self.held_out]

    def sums_by_position(self) -> tuple[Positions, Doubles, int]:
        """Return positions, the sum of the tokens at each, and how many tokens these are in all."""
        order = np.argsort(self.positions, kind="stable")
        positions, starts, counts = np.unique(self.positions[order], return_index=True, return_counts=True)
        sums: Doubles = np.add.reduceat(self.values[order], starts, 0, dtype=np.float64)
        kept = slice(None, None, -(-len(positions) // _MAX_POSITIONS))
        return positions[kept], sums[kept], int(counts[kept].sum())


def _leading(tokens: _Tokens) -> list[Rotary]:
    """Return the candidates with which the mean over all tokens keeps most energy, best first."""
    positions, sums, count = tokens.sums_by_position()
    means, energies = sums / count, np.square(tokens.values, dtype=np.float64).mean(0)
    ranked: list[tuple[float, int, Rotary]] = []
    for head, turned in _head_layouts(tokens.channels):
        heads = _compared_heads(tokens.channels, head)
        by_head, energy = means[:, : heads * head].reshape(-1, heads, head), energies[: heads * head].reshape(-1, head)
        for base, slower in (*((base, 1) for base in _BASES), *_SLOWED):
            frequencies = _frequencies(base, turned) / slower
            back = np.exp(-1j * positions[:, None] * frequencies)
            for pairs in _PAIRS:
                first, second = _pair_channels(turned, pairs)
                gain = _kept_mean(
                    by_head[..., first] + 1j * by_head[..., second], back, energy[:, first] + energy[:, second]
                )
                rotary = Rotary(tuple(frequencies.tolist()), pairs, tokens.channels // head)
                ranked.append((gain / (heads * head), len(ranked), rotary))
    return [rotary for _, _, rotary in sorted(ranked, key=lambda entry: (-entry[0], entry[1]))[:_COMPARED]]


def _head_layouts(channels: int) -> Iterator[tuple[int, int]]:
    """Yield how many channels a head may have, and how many of them may be turned."""
    for head in sorted({*_HEAD_CHANNELS, channels}):
        if head <= max(_HEAD_CHANNELS) and channels % head == 0:
            widths = {round(share * head) for share in _TURNED_SHARES}
            yield from ((head, turned) for turned in sorted(widths) if turned >= _MIN_TURNED and turned % 2 == 0)


def _frequencies(base: float, turned: int) -> Doubles:
    """Return the angles from token to token of the pairs of so many channels, in float32 as models compute them."""
    frequencies: Doubles = (1 / base ** (torch.arange(0, turned, 2).float() / turned)).double().numpy()
    return frequencies


def _compared_heads(channels: int, head: int) -> int:
    """Return the heads of so many channels on which candidates are compared."""
    return max(1, min(channels, _MAX_CHANNELS) // head)


def _pair_channels(turned: int, pairs: Literal["halves", "neighbours"]) -> tuple[slice, slice]:
    """Return the first and the second channels of the pairs of a head."""
    if pairs == "halves":
        return slice(0, turned // 2), slice(turned // 2, turned)
    return slice(0, turned, 2), slice(1, turned, 2)


def _kept_mean(means: NDArray[np.complex128], back: NDArray[np.complex128], energy: Doubles) -> float:
    """Return the bits that turning back saves where each pair is coded by itself about its mean.

    `means`, positions x heads x pairs, adds up to the mean of all tokens; `energy`, heads x pairs, is their energy.
    """
    least = np.maximum(_LEAST_REMAINDER * energy, np.finfo(np.float64).tiny)
    plain = np.maximum(energy - np.square(np.abs(means.sum(0))), least)
    turned = np.maximum(energy - np.square(np.abs(np.einsum("up,uhp->hp", back, means))), least)
    return float(np.log2(plain / turned).sum())


def _saved_share(tokens: _Tokens, rotary: Rotary, targets_db: Sequence[float]) -> float:
    """Return the share of the bits that turning back saves at these signal-to-noise ratios."""
    head = tokens.channels // rotary.heads
    heads = _compared_heads(tokens.channels, head)
    as_they_are = _held_out_variances(*tokens.halves(heads * head))
    turned = _held_out_variances(*tokens.halves(heads * head, replace(rotary, heads=heads)))
    errors = [as_they_are.sum() * error_share(target) for target in targets_db]
    before, after = (_bits(variances, errors) for variances in (as_they_are, turned))
    return 1 - after / before if before > 0 else 0.0


def _held_out_variances(fitted: Floats, held_out: Floats) -> Doubles:
    """Return the variances of tokens held out in the principal directions of others, about their mean."""
    mean = fitted.mean(0, dtype=np.float64).astype(np.float32)
    centred = fitted - mean
    _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    variances: Doubles = np.square((held_out - mean) @ directions.astype(np.float32), dtype=np.float64).mean(0)
    return variances


def _bits(variances: Doubles, errors: Sequence[float]) -> float:
    """Return the bits of a token, added up over several errors."""
    filling = single_band(np.sort(variances)[::-1])
    return sum(filling.bits(filling.step_for_error(error)) for error in errors)
