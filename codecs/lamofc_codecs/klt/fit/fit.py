"""Fitting `klt`: the bulk, token means, the transform, and the spreads; what pays is decided on tokens held out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.errors import CodecError, UnsupportedInput
from lamofc_codecs.klt.encode import SampleEncoder
from lamofc_codecs.klt.fit.build_profile import Fitted, HeldOut, Transform, make_profile
from lamofc_codecs.klt.fit.codebook_size import Calibration, Choice, aims_of, calibration_of, choices
from lamofc_codecs.klt.fit.grid_search import HELD_OUT, Latest, find_terrain
from lamofc_codecs.klt.fit.pca import principal_within
from lamofc_codecs.klt.format import KltOptions, KltParameters
from lamofc_codecs.klt.transform import ErrorWeights, fit_codebook, nearest_of
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Floats, convert
from lamofc_codecs.source import Source
from lamofc_codecs.stats import Bulk, collect_statistics

_ELEMENTS = 1 << 27
"""Values that are kept for the fit."""
_HOPELESS = 1.15
_MARGIN = 1.01
"""Waves are to save a hundredth, or the simpler profile is taken."""
_TRIED, _LEAST = 1 << 22, 6
"""Values and samples that are coded with waves and without, to see what pays."""

Parts = tuple[tuple[str, int], ...]


def fit_profile(
    samples: Iterable[Any], quality: Quality | None, options: KltOptions, weight: Tensor | None = None
) -> Profile:
    """Fit on tokens x channels, or on mappings of them that share their tokens, read once."""
    parts, joined = _joined(samples)
    latest = Latest()
    exact = options.nonfinite == "exact"
    collected = collect_statistics(latest.through(joined), skip_nonfinite=exact, elements=_ELEMENTS)
    bulk, _ = collected.finish()
    away = _inside(collected.values(), bulk)
    metric = _metric(away, parts, quality, options, weight)
    metric.apply(away.numpy())
    held = max(1, len(away) // HELD_OUT)
    train, test = (away[:-held], away[-held:]) if len(away) > HELD_OUT else (away, away)
    aims = aims_of(quality)
    found = iter([_Transforms(None, None)])
    if options.transform == "klt":
        per_sample = collected.tokens / max(collected.samples, 1)
        calibration = calibration_of(train, test, options, quality, per_sample)
        tried = choices(calibration, options)
        best = min(tried, key=lambda one: one.cost)
        aims = best.aims
        chosen = [best] if best.means is None else [best, *(one for one in tried if one.means is None)]
        found = (_Transforms.of(one, calibration) for one in chosen)
    fitted, first = Fitted(bulk, metric, parts, quality, options, aims[0]), next(found)
    plain = make_profile(fitted, HeldOut.of(test, [len(test)], first.measured), first.final, None)
    if options.waves is False:
        return plain
    return _with_waves(plain, fitted, latest.held_out(), chain([first], found), aims)


@dataclass(frozen=True)
class _Transforms:
    """One choice of means, fitted."""

    measured: Transform | None
    """On what was not held out."""
    final: Transform | None
    """On all tokens: what was held out was for measuring, and is too good to be left unused."""

    @classmethod
    def of(cls, tried: Choice, calibration: Calibration) -> _Transforms:
        """Fit it on all tokens."""
        values = torch.cat([calibration.train, calibration.test])
        means = None
        if tried.means is not None:
            means = fit_codebook(values, len(tried.means), tried.means)
            values = values - means[nearest_of(values, means)]
        measured = _transform(tried.means, tried.turn, calibration)
        return cls(measured, _transform(means, principal_within(values, calibration.kin)[0], calibration))


def _with_waves(
    plain: Profile,
    fitted: Fitted,
    samples: Sequence[Tensor],
    transforms: Iterable[_Transforms],
    aims: Sequence[float],
) -> Profile:
    """A profile with waves, if one makes smaller records of samples held out; means may then not pay any more.

    The transform without means takes a while to fit: it is left alone where waves make records much larger.
    """
    rows = [_inside(sample.detach().cpu().to(torch.float32).numpy().copy(), fitted.bulk) for sample in samples]
    whole = [torch.from_numpy(fitted.metric.apply(row.numpy())) for row in rows if len(row)]
    best, least = plain, math.inf
    for tried in transforms if whole else ():
        test = HeldOut.of(torch.cat(whole), [len(row) for row in whole], tried.measured)
        terrain = find_terrain(test.samples())
        if terrain is None:
            break
        if math.isinf(least) and not fitted.options.waves:
            least = _bits(plain, samples, fitted, aims)
        waved = make_profile(fitted, test, tried.final, terrain)
        bits = _MARGIN * _bits(waved, samples, fitted, aims)
        hopeless = bits > _HOPELESS * least
        best, least = (waved, bits) if bits < least else (best, least)
        if hopeless:
            break
    return best


def _bits(profile: Profile, samples: Sequence[Tensor], fitted: Fitted, aims: Sequence[float]) -> float:
    """What some samples take at the aims, with their share of the profile."""
    known = KltParameters.of(profile)
    fewer = max(1, sum(sample.numel() for sample in samples) // _TRIED)
    chosen = samples[:: min(fewer, max(1, len(samples) // _LEAST))]
    total = 8.0 * len(profile.data) * len(chosen) * len(aims) / fitted.options.shared_by
    for sample in chosen:
        tensors = sample.detach().cpu().to(torch.float32)
        split = torch.split(tensors, known.widths, 1)
        source = Source.of_parts([part.contiguous() for part in split], known.bulk)
        outside = known.bulk.outside(source.values)
        for aim in aims:
            quality = Quality(snr_db=aim)
            total += SampleEncoder.of(source, outside, known, quality).meet(quality)[0].bits
    return total


def _joined(samples: Iterable[Any]) -> tuple[Parts, Iterator[Tensor]]:
    """The parts of a group and its samples side by side; no parts for single features."""
    rest = iter(samples)
    first = next(rest, None)
    whole: Iterator[Any] = iter(()) if first is None else chain([first], rest)
    if not isinstance(first, Mapping):
        return (), whole
    parts = tuple((name, int(first[name].shape[1])) for name in sorted(first))
    if len(parts) < 2:
        raise CodecError(f"a group of {[name for name, _ in parts]}", "give two features or more, or a tensor each")
    return parts, (_side_by_side(sample, parts) for sample in whole)


def _side_by_side(sample: Tensor | Mapping[str, Tensor], parts: Parts) -> Tensor:
    if not isinstance(sample, Mapping) or sorted(sample) != [name for name, _ in parts]:
        given = sorted(sample) if isinstance(sample, Mapping) else "a tensor"
        raise CodecError(f"a sample of the group {[name for name, _ in parts]} is {given}", "give the same features")
    if len({len(sample[name]) for name, _ in parts}) != 1:
        raise CodecError(
            f"features of {[len(sample[name]) for name, _ in parts]} tokens; those of a group share their tokens",
            "fit them apart",
        )
    return torch.cat([convert(sample[name].detach().cpu(), torch.float32) for name, _ in parts], 1)


def _inside(values: Floats, bulk: Bulk) -> Tensor:
    """Tokens about the middle, in place, entries out of the bulk at the middle."""
    outside = bulk.outside(values)
    values -= bulk.mean
    values[outside] = 0
    return torch.from_numpy(values)


def _metric(
    away: Tensor, parts: Parts, quality: Quality | None, options: KltOptions, given: Tensor | None
) -> ErrorWeights:
    """Features of a group count alike, by their signals; where a quality speaks of errors, each error as it is."""
    if given is not None:
        plain = options.transform == "none" or options.ranges > 1
        if parts or (plain and given.dim() > 1):
            raise UnsupportedInput(
                f"a weight of shape {tuple(given.shape)} for {len(parts) or 1} features, "
                f"transform={options.transform}, ranges={options.ranges}",
                "give a matrix for one feature that is transformed as a whole, or weigh none",
            )
        return ErrorWeights.of(given, options.weight_floor, away.shape[1])
    weight = np.ones(away.shape[1], np.float32)
    if quality is not None and quality.kind not in ("snr_db", "bpfp"):
        return ErrorWeights.of_channels(weight)
    first = 0
    for _, channels in parts:
        spread = float(away[:, first : first + channels].square().mean().sqrt())
        weight[first : first + channels] = 1 / spread if spread > 0 else 1.0
        first += channels
    return ErrorWeights.of_channels(weight)


def _transform(means: Tensor | None, turn: Tensor, calibration: Calibration) -> Transform:
    return Transform(turn @ calibration.rows, None if means is None else means @ calibration.rows)
