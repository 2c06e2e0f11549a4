"""Columns of a table beside the source, joined to its samples by id."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from lamofc_store.errors import NotFound
from lamofc_store.sample import Sample
from lamofc_store.sources import ListedSource, read_table


class SampleColumns:
    """The rows of a table by sample id; counts the samples that have a row and those that have none."""

    def __init__(self, table: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
        self._table = table
        self._rows = rows
        self._unused = set(rows)
        self._samples = 0
        self._first_unmatched: str | None = None
        self.unmatched = 0
        """Samples without a row."""

    @classmethod
    def of_table(cls, table: str, source: Iterable[Sample]) -> "SampleColumns":
        """Read a table for a source; NotFound where the source can list its ids and none of them has a row."""
        rows = {row.pop("sample"): row for row in read_table(table).to_pylist()}
        columns = cls(table, rows)
        ids = source.sample_ids() if isinstance(source, ListedSource) else None
        first = None
        for sample in ids or ():
            if sample in rows:
                return columns
            first = first or sample
        if first is not None:
            raise columns._no_match(first, "make its column `sample` hold the ids of the source")
        return columns

    def join(self, sample: Sample) -> Sample:
        """Return the sample with the columns of its row."""
        self._samples += 1
        row = self._rows.get(sample.id)
        if row is None:
            self.unmatched += 1
            self._first_unmatched = self._first_unmatched or sample.id
            return sample
        self._unused.discard(sample.id)
        return replace(sample, attributes={**sample.attributes, **row})

    def warnings(self) -> list[str]:
        """Return a line if some samples have no row; NotFound if none has one."""
        if self._first_unmatched is None:
            return []
        if self.unmatched == self._samples:
            raise self._no_match(self._first_unmatched, "the samples are stored: annotate them with a corrected table")
        unused = f"; its row {min(self._unused)!r} names no sample" if self._unused else ""
        matched = self._samples - self.unmatched
        return [
            f"table {self._table} has rows for {matched} of {self._samples} samples,"
            f" none for {self._first_unmatched!r}{unused}"
        ]

    def _no_match(self, sample: str, hint: str) -> NotFound:
        ids = f"its {len(self._rows)} rows name samples such as {min(self._rows)!r}" if self._rows else "it has no rows"
        return NotFound(f"table {self._table} has a row for none of the samples, such as {sample!r}: {ids}", hint)
