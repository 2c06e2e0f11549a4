"""Plan an ingest without writing: list the features that it would store, and fit the profiles that it would use."""

from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Unpack

from lamofc_store.defaults import DEFAULT_CODEC
from lamofc_store.errors import SourceError
from lamofc_store.ingest.items import Item, globs_of_groups, group_items, group_name, items_of
from lamofc_store.ingest.profiles import items_to_fit, profile_fitting
from lamofc_store.ingest.request import IngestKeywords, prepare
from lamofc_store.sample import layout

if TYPE_CHECKING:
    from lamofc_codecs import Profile, Quality

PLANNED_SAMPLES = 8
"""Samples read to list the features of a source."""


@dataclass(frozen=True, slots=True)
class PlannedFeature:
    """A feature as the first samples have it."""

    feature: str
    shape: tuple[int, ...]
    dtype: str
    pattern: str
    tokens: int
    channels: int
    grid: str | None
    group: str
    """The joined names of the features that share its record; "" for none."""

    def to_json(self) -> dict[str, Any]:
        """Return the feature as a JSON-able mapping."""
        return asdict(self)


def plan(
    source: Any,
    codec: str = DEFAULT_CODEC,
    quality: "Quality | None" = None,
    **options: "Unpack[IngestKeywords]",
) -> list[PlannedFeature]:
    """List the features that an ingest would store, from the first samples; nothing is written.

    The options are those of `Store.ingest`.
    """
    request = prepare(source, codec, quality, options)
    planned: dict[str, PlannedFeature] = {}
    for sample in islice(request.source, PLANNED_SAMPLES):
        items = list(items_of(sample, request.options))
        for group in group_items(items, globs_of_groups(request.options.groups)):
            name = group_name(group) if len(group) > 1 else ""
            for item in group:
                planned.setdefault(item.feature, _planned(item, name))
    if not planned:
        raise _no_samples()
    return [planned[feature] for feature in sorted(planned)]


def _planned(item: Item, group: str) -> PlannedFeature:
    tokens, channels = layout.tokens_of(item.shape, item.pattern), layout.channels_of(item.shape, item.pattern)
    return PlannedFeature(item.feature, item.shape, item.dtype, item.pattern, tokens, channels, item.grid, group)


def _no_samples() -> SourceError:
    return SourceError("the source has no samples", "give a folder or a file of features")


def fit_profiles(
    source: Any,
    codec: str = DEFAULT_CODEC,
    quality: "Quality | None" = None,
    **options: "Unpack[IngestKeywords]",
) -> "dict[str, Profile]":
    """Fit a profile for every feature, or group of features, on samples of a source; nothing is written.

    The options are those of `Store.ingest`.
    """
    request = prepare(source, codec, quality, options)
    total = request.sample_count
    items = items_to_fit(request.fit_source, request.options, total)
    groups: dict[str, list[list[Item]]] = {}
    for group in group_items(items, profile_fitting.find_groups(items, request.options, total)):
        groups.setdefault(group_name(group), []).append(group)
    if not groups:
        raise _no_samples()
    profiles: dict[str, Profile] = {}
    for name, alike in sorted(groups.items()):
        first = alike[0]
        coding = request.options.exact() if first[0].is_exact else request.options
        if len(first) > 1:
            profiles[name] = profile_fitting.fit_group(alike, coding, total)
        else:
            profiles[name] = profile_fitting.fit([group[0] for group in alike], coding, total)
    return profiles
