"""The request of an ingest: a source opened, its options checked, its table of columns read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import BadArgument
from lamofc_store.ingest.request.options import IngestOptions
from lamofc_store.ingest.request.sample_columns import SampleColumns
from lamofc_store.sample import Sample
from lamofc_store.sources import Tolerant, UnreadableSample
from lamofc_store.sources import open as open_source

if TYPE_CHECKING:
    from lamofc_codecs import Quality


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """Samples to store, and how."""

    source: Iterable[Sample]
    fit_source: Iterable[Sample]
    """Samples that profiles are fitted on: those of the source, unless others are given."""
    options: IngestOptions
    columns: SampleColumns | None
    """Columns that samples get from a table beside the source."""

    @property
    def sample_count(self) -> int | None:
        """The number of samples, where the source knows it."""
        try:
            return len(self.source)  # type: ignore[arg-type]
        except TypeError:
            return None


def prepare(source: Any, codec: str, quality: "Quality | None", keywords: Mapping[str, Any]) -> IngestRequest:
    """Open the source, check the options, and read the table; BadArgument names an option that does not exist."""
    names = IngestOptions.__dataclass_fields__
    unknown = [name for name in keywords if name not in names]
    if unknown:
        raise BadArgument(f"there is no option {unknown[0]!r} of an ingest", f"the options are {', '.join(names)}")
    options = IngestOptions(codec=codec, quality=quality, **keywords)
    samples = open_source(source)
    columns = None if options.table is None else SampleColumns.of_table(options.table, samples)
    fit_source = samples if options.fit_source is None else open_source(options.fit_source)
    return IngestRequest(samples, fit_source, options, columns)


def attempts(source: Iterable[Sample], options: IngestOptions) -> "Iterable[Sample | UnreadableSample]":
    """Iterate a source; unless errors stop the ingest, with samples in between that cannot be loaded."""
    if options.on_error != "stop" and isinstance(source, Tolerant):
        return source.attempts()
    return source
