"""Fitting `klt`: the bulk, error weights, token codebook, channel transform, token grid, spreads.

Choices are made by their cost on tokens held out.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
from torch import Tensor

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.klt.fit.build_profile import FitContext, HeldOutColumns, make_profile
from lamofc_codecs.klt.fit.centring import centre
from lamofc_codecs.klt.fit.grid_search import RecentSamples
from lamofc_codecs.klt.fit.grid_trial import try_grid
from lamofc_codecs.klt.fit.parts import Parts, join_parts
from lamofc_codecs.klt.fit.transforms import search_transforms
from lamofc_codecs.klt.format import KltOptions
from lamofc_codecs.klt.transform import ErrorWeights
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.stats import collect_statistics

_MAX_ELEMENTS = 1 << 27
"""Values that are kept for the fit."""


def fit_profile(
    samples: Iterable[Any], quality: Quality | None, options: KltOptions, weight: Tensor | None = None
) -> Profile:
    """Fit to tokens x channels, or to mappings of them that share their tokens, read once."""
    parts, joined = join_parts(samples)
    recent = RecentSamples()
    skip = options.nonfinite == "exact"
    collected = collect_statistics(recent.watch(joined), skip_nonfinite=skip, elements=_MAX_ELEMENTS)
    bulk, _ = collected.finish()
    centred = centre(collected.values(), bulk)
    error_weights = _fit_error_weights(centred, parts, quality, options, weight)
    error_weights.apply(centred.numpy())
    search = search_transforms(centred, options, quality, collected.tokens / max(collected.samples, 1))
    context = FitContext(bulk, error_weights, parts, quality, options, search.targets_db[0])
    first = next(search.transforms)
    test = HeldOutColumns.from_centred(search.test, [len(search.test)], first.measured)
    plain = make_profile(context, test, first.final, None)
    if options.waves is False:
        return plain
    return try_grid(plain, context, recent.held_out(), chain([first], search.transforms), search.targets_db)


def _fit_error_weights(
    centred: Tensor, parts: Parts, quality: Quality | None, options: KltOptions, weight: Tensor | None
) -> ErrorWeights:
    """Weigh the features of a group so that they count alike, by their signals.

    If the quality states an error or a step, all errors have the same weight.
    """
    if weight is not None:
        separate = options.transform == "none" or options.ranges > 1
        if parts or (separate and weight.dim() > 1):
            raise UnsupportedInput(
                f"a weight of shape {tuple(weight.shape)} for {len(parts) or 1} features, "
                f"transform={options.transform}, ranges={options.ranges}",
                "give a matrix for one feature that is transformed as a whole, or weigh none",
            )
        return ErrorWeights.from_values(weight, options.weight_floor, centred.shape[1])
    by_channel = np.ones(centred.shape[1], np.float32)
    if quality is not None and quality.kind not in ("snr_db", "bpfp"):
        return ErrorWeights.of_channels(by_channel)
    first = 0
    for _, channels in parts:
        spread = float(centred[:, first : first + channels].square().mean().sqrt())
        by_channel[first : first + channels] = 1 / spread if spread > 0 else 1.0
        first += channels
    return ErrorWeights.of_channels(by_channel)
