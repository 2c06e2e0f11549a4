"""Fitting `klt`: the bulk, error weights, token codebook, channel transform, token grid, spreads.

Choices are made by their cost on tokens held out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, NamedTuple

from lamofc_codecs.klt.fit.build_profile import FitContext, HeldOutColumns, make_profile
from lamofc_codecs.klt.fit.centring import SampledTokens, prepare_tokens
from lamofc_codecs.klt.fit.codebook_size import MARGIN_DB
from lamofc_codecs.klt.fit.grid_search import RecentSamples
from lamofc_codecs.klt.fit.grid_trial import try_grid
from lamofc_codecs.klt.fit.parts import join_parts
from lamofc_codecs.klt.fit.transforms import search_transforms
from lamofc_codecs.klt.format import KltOptions
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.stats import collect_statistics

_MAX_ELEMENTS = 1 << 27
"""Values that are kept for the fit."""
_MAX_TRIED_CHANNELS = 1024
"""Channels of a weighed group up to which it is tried whether a transform over tokens pays."""


class _Shares(NamedTuple):
    """Shares of a fit's time that have passed at the end of its stages: medians of texts, images and random tokens."""

    collected: float = 0.1
    """Samples are read and summed up."""
    searched: float = 0.5
    """Transforms are compared."""
    transformed: float = 0.7
    """The best one is fitted on all tokens."""
    measured: float = 0.8
    """Its profile is made; a trial of transforms over tokens follows."""


_SHARES = _Shares()


def fit_profile(
    samples: Iterable[Any], quality: Quality | None, options: KltOptions, progress: Callable[[float], None]
) -> Profile:
    """Fit to tokens x channels, or to mappings of them that share their tokens, read once.

    `progress` is called with the share of the work that is done.
    """
    parts, joined = join_parts(samples)
    recent = RecentSamples()
    skip = options.nonfinite == "exact"
    collected = collect_statistics(recent.watch(joined), skip_nonfinite=skip, elements=_MAX_ELEMENTS)
    bulk, _ = collected.finish()
    progress(_SHARES.collected)
    sampled = SampledTokens(collected.values(), collected.positions(), recent.first_tokens())
    options = options.for_parts([name for name, _ in parts])
    tokens = prepare_tokens(sampled, bulk, parts, quality, options)
    search = search_transforms(tokens.values, options, quality, collected.tokens / max(collected.samples, 1))
    progress(_SHARES.searched)
    targets_db = search.targets_db[0], max(search.targets_db) + MARGIN_DB
    context = FitContext(tokens.space, parts, quality, options, *targets_db, tokens.median_energy)
    first = next(search.transforms)
    progress(_SHARES.transformed)
    test = HeldOutColumns.from_centred(search.test, [len(search.test)], first.measured)
    plain = make_profile(context, test, first.final, None)
    progress(_SHARES.measured)
    if options.waves is False or _too_wide_to_try(context):
        return plain
    return try_grid(plain, context, recent.held_out(), chain([first], search.transforms), search.targets_db)


def _too_wide_to_try(context: FitContext) -> bool:
    """Whether a trial of transforms over tokens would take minutes, as it does for all caches of a language model."""
    weighed_group = bool(context.parts) and context.options.weight is not None
    return weighed_group and context.options.waves is None and context.space.channels > _MAX_TRIED_CHANNELS
