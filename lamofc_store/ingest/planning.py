"""What an ingest is about to do: its source opened, its options settled, its features listed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from lamofc_store.defaults import DEFAULT_CODEC
from lamofc_store.errors import BadArgument, SourceError
from lamofc_store.ingest import profile_fitting
from lamofc_store.ingest.feature_groups import named, patterns_of, together
from lamofc_store.ingest.feature_items import Item, items_of
from lamofc_store.ingest.options import IngestOptions
from lamofc_store.sample import Sample, layout

if TYPE_CHECKING:
    from lamofc_codecs import Profile, Quality
    from lamofc_store.sources import Unreadable

LOOKED_AT = 8
"""Samples read to list the features of a source."""


@dataclass(frozen=True, slots=True)
class PlannedFeature:
    """A feature as the first samples show it."""

    feature: str
    shape: tuple[int, ...]
    dtype: str
    pattern: str
    tokens: int
    channels: int
    grid: str | None
    group: str
    """The features that it is coded with, by name; "" for none."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON-able mapping."""
        return asdict(self)


def prepared(
    source: Any, codec: str, quality: "Quality | None", options: Mapping[str, Any]
) -> tuple[Iterable[Sample], IngestOptions]:
    """The source as samples, and the options of one ingest."""
    from lamofc_store import sources

    try:
        chosen = IngestOptions(codec=codec, quality=quality, **options)
    except TypeError as error:
        known = ", ".join(IngestOptions.__dataclass_fields__)
        raise BadArgument(
            f"{error}".replace("IngestOptions.__init__()", "ingest"), f"the options are {known}"
        ) from error
    samples = sources.open(source)
    return (samples if chosen.table is None else Annotated(samples, _columns(chosen.table))), chosen


def _columns(table: str) -> dict[str, dict[str, Any]]:
    """The columns of each sample that a table names."""
    from lamofc_store.sources import read_table

    rows = read_table(table).to_pylist()
    return {row["sample"]: {name: value for name, value in row.items() if name != "sample"} for row in rows}


class Annotated:
    """A source whose samples get columns from a table."""

    def __init__(self, samples: Iterable[Sample], columns: Mapping[str, dict[str, Any]]) -> None:
        self._samples, self._columns = samples, columns
        self.reiterable = getattr(samples, "reiterable", iter(samples) is not samples)

    def __len__(self) -> int:
        return len(self._samples)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Sample]:
        for sample in self._samples:
            yield self._with_columns(sample)

    def spread(self) -> "Annotated":
        """In the order in which a fit looks at samples."""
        return Annotated(profile_fitting.spread(self._samples), self._columns)

    def attempts(self) -> "Iterator[Sample | Unreadable]":
        """Like iterating, as far as the source beneath can go on after an error."""
        from lamofc_store.sources import Tolerant

        found = self._samples.attempts() if isinstance(self._samples, Tolerant) else self._samples
        for sample in found:
            yield self._with_columns(sample) if isinstance(sample, Sample) else sample

    def _with_columns(self, sample: Sample) -> Sample:
        extra = self._columns.get(sample.id)
        return replace(sample, attributes={**sample.attributes, **extra}) if extra else sample


def plan(
    source: Any, codec: str = DEFAULT_CODEC, quality: "Quality | None" = None, **options: Any
) -> list[PlannedFeature]:
    """The features that an ingest would take in, as the first samples show them; nothing is written."""
    samples, chosen = prepared(source, codec, quality, options)
    found: dict[str, PlannedFeature] = {}
    for sample in islice(samples, LOOKED_AT):
        for bundle in together(list(items_of(sample, chosen)), patterns_of(chosen.groups)):
            group = named(bundle) if len(bundle) > 1 else ""
            for item in bundle:
                found.setdefault(item.feature, _planned(item, group))
    if not found:
        raise _empty()
    return [found[feature] for feature in sorted(found)]


def _planned(item: Item, group: str) -> PlannedFeature:
    tokens, channels = layout.tokens_of(item.shape, item.pattern), layout.channels_of(item.shape, item.pattern)
    return PlannedFeature(item.feature, item.shape, item.dtype, item.pattern, tokens, channels, item.grid, group)


def _empty() -> SourceError:
    return SourceError("the source has no samples", "give a folder or a file of features")


def fit_profiles(
    source: Any, codec: str = DEFAULT_CODEC, quality: "Quality | None" = None, **options: Any
) -> "dict[str, Profile]":
    """A profile for every feature, or group of features, fitted on samples of a source; nothing is written."""
    samples, chosen = prepared(source, codec, quality, options)
    bundled: dict[str, list[list[Item]]] = {}
    total = profile_fitting.length(samples)
    gathered = profile_fitting.gather(profile_fitting.spread(samples), chosen, lambda item: False, total)
    for bundle in together(gathered, profile_fitting.groups(gathered, chosen, total)):
        bundled.setdefault(named(bundle), []).append(bundle)
    if not bundled:
        raise _empty()
    found: dict[str, Profile] = {}
    for name, bundles in sorted(bundled.items()):
        alone = [bundle[0] for bundle in bundles]
        coding = chosen.exact() if alone[0].is_exact else chosen
        several = len(bundles[0]) > 1
        found[name] = (
            profile_fitting.fit_group(bundles, coding, total)
            if several
            else profile_fitting.fit(name, alone, coding, total)
        )
    return found
