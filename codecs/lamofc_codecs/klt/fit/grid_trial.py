"""Whether a block DCT pays: profiles with and without it code samples held out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from lamofc_codecs.klt.encode import analyse, encode_to_target, outside_bulk
from lamofc_codecs.klt.fit.build_profile import FitContext, HeldOutColumns, make_profile
from lamofc_codecs.klt.fit.centring import enter_sample
from lamofc_codecs.klt.fit.grid_search import find_grid_rule
from lamofc_codecs.klt.fit.transforms import FittedTransform
from lamofc_codecs.klt.format import KltParameters
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.source import Source

_HOPELESS_RATIO = 1.15
"""Bits over the best profile's from which no further transform is tried with a block DCT."""
_MARGIN = 1.01
"""A block DCT must save a hundredth of the bits, or the simpler profile is taken."""
_MAX_VALUES, _MIN_SAMPLES = 1 << 22, 6
"""Values and samples that are coded with a block DCT and without."""


def try_grid(
    plain: Profile,
    context: FitContext,
    samples: Sequence[Tensor],
    transforms: Iterable[FittedTransform],
    targets_db: Sequence[float],
) -> Profile:
    """Return a profile with a block DCT, if one makes smaller records of the samples held out; else the plain one.

    A token codebook may not pay any more with a block DCT, so both transforms are tried. The one without a codebook
    takes a while to fit: it is left alone where a block DCT makes records much larger.
    """
    rows = [enter_sample(sample, context.space) for sample in samples]
    centred = [torch.from_numpy(row) for row in rows if len(row)]
    best, least = plain, math.inf
    for transform in transforms if centred else ():
        lengths = [len(row) for row in centred]
        test = HeldOutColumns.from_centred(torch.cat(centred), lengths, transform.measured)
        rule = find_grid_rule(test.samples())
        if rule is None:
            break
        if math.isinf(least) and not context.options.waves:
            least = _bits(plain, samples, context, targets_db)
        profile = make_profile(context, test, transform.final, rule)
        bits = _MARGIN * _bits(profile, samples, context, targets_db)
        hopeless = bits > _HOPELESS_RATIO * least
        best, least = (profile, bits) if bits < least else (best, least)
        if hopeless:
            break
    return best


def _bits(profile: Profile, samples: Sequence[Tensor], context: FitContext, targets_db: Sequence[float]) -> float:
    """Bits of some samples at the target qualities, with their share of the profile."""
    parameters = KltParameters.from_profile(profile)
    stride = max(1, sum(sample.numel() for sample in samples) // _MAX_VALUES)
    chosen = samples[:: min(stride, max(1, len(samples) // _MIN_SAMPLES))]
    total = 8.0 * len(profile.data) * len(chosen) * len(targets_db) / context.options.shared_by
    for sample in chosen:
        parts = torch.split(sample.detach().cpu().to(torch.float32), parameters.widths, 1)
        source = Source.of_parts([part.contiguous() for part in parts], parameters.bulk)
        outside = outside_bulk(source, parameters.space)
        for target in targets_db:
            coefficients = analyse(source, outside, parameters, Quality(snr_db=target))
            total += encode_to_target(coefficients)[0].bits
    return total
