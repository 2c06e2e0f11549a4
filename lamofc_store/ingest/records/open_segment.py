"""The open segment: records and rows gathered until there are enough to write."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lamofc_store.commits import ProfileEntry, Segment, changes, row_objects
from lamofc_store.ingest.items import Item
from lamofc_store.ingest.records.deduplicate import divide_payloads
from lamofc_store.ingest.records.encode_items import CodedContent, Failed, coded_content
from lamofc_store.ingest.records.encoded import Encoded
from lamofc_store.ingest.records.segment_rows import record_rows, sample_rows, skipped_row
from lamofc_store.sample import Sample
from lamofc_store.segments import SegmentLayout, SegmentWriter, Slot, Stream
from lamofc_store.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

CLOSE_RECORDS = 65_536
"""Records at which a segment is closed."""
CLOSE_SECONDS = 60.0
"""Age at which a segment is closed."""


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One row of the open segment."""

    source_hash: int
    raw_bytes: int
    saved_bytes: int | None
    """Bytes of the record that the row shares with an equal item; None where the item has bytes of its own."""


class OpenSegment:
    """One segment until `close` writes it."""

    def __init__(self, storage: Storage, close_bytes: int) -> None:
        self._storage = storage
        self._close_bytes = close_bytes
        self._writer = SegmentWriter(storage)
        self._rows: list[tuple[dict[str, Any], Slot]] = []
        self._row_of: dict[CodedContent, int] = {}
        """Index of the row of a content, by the content, its profile and its quality."""
        self._samples: dict[str, Sample] = {}
        self._skipped: list[dict[str, Any]] = []
        self._profiles: dict[tuple[str, str], ProfileEntry] = {}
        self._opened = time.monotonic()
        self._stored: dict[tuple[str, str], StoredItem] = {}

    @property
    def stored(self) -> Mapping[tuple[str, str], StoredItem]:
        """The items of the segment, by sample and feature."""
        return self._stored

    def holds_any(self, samples: Collection[str]) -> bool:
        """Whether it has a row of one of these samples."""
        return not self._samples.keys().isdisjoint(samples)

    @property
    def bytes(self) -> int:
        """Bytes of the records."""
        return self._writer.bytes

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self._rows and not self._skipped

    @property
    def is_full(self) -> bool:
        """Whether the segment should be closed before the next batch."""
        writer = self._writer
        late = time.monotonic() - self._opened > CLOSE_SECONDS
        return not self.is_empty and (writer.bytes >= self._close_bytes or writer.records >= CLOSE_RECORDS or late)

    def add(self, encoded: Encoded) -> None:
        """Add a record, with a row for each item: of one feature or several of a sample, or of several samples."""
        record, items = encoded.record, encoded.items
        samples = list(dict.fromkeys(item.sample for item in items))
        features, patterns = (item.feature for item in items), (item.pattern for item in items)
        stream = Stream.of(features, patterns, encoded.profile.id, samples)
        slot = self._writer.add(stream, samples, record.data)
        for item, row in zip(items, record_rows(encoded), strict=True):
            if not record.parts:
                self._row_of.setdefault(coded_content(item, encoded.profile.id, encoded.quality), len(self._rows))
            self._rows.append((row, slot))
            self._stored[item.key] = StoredItem(item.source_hash, item.raw_bytes, None)

    def holds(self, content: CodedContent) -> bool:
        """Whether a record of the same content, coded alike, is in this segment."""
        return content in self._row_of

    def share(self, item: Item, content: CodedContent) -> int:
        """Add a row that points at the record of equal content; return the bytes that this saves."""
        row, slot = self._rows[self._row_of[content]]
        self._writer.share(slot, item.sample)
        self._rows.append(({**row, "sample": item.sample, "encode_seconds": 0.0}, slot))
        saved = self._writer.length(slot)
        self._stored[item.key] = StoredItem(item.source_hash, item.raw_bytes, saved)
        return saved

    def add_sample(self, sample: Sample) -> None:
        """Add the row of a sample."""
        self._samples[sample.id] = sample

    def add_profile(self, entry: ProfileEntry) -> None:
        """Name a profile that the records need."""
        self._profiles[entry.id, entry.feature] = entry

    def add_skipped(self, failure: Failed, source: str) -> None:
        """Add the row of a sample that is left out, and of the file that it should have come from."""
        self._skipped.append(skipped_row(failure, source))

    def abandon(self) -> None:
        """Remove the spooled files without writing a segment."""
        self._writer.abandon()

    def close(self) -> Segment:
        """Write the segment and its rows."""
        import pyarrow as pa

        layout = self._writer.close() if self._rows else None
        rows = []
        if layout is not None:
            rows.append(row_objects.write(self._storage, "records", self._record_table(layout)))
        columns: tuple[tuple[str, str], ...] = ()
        if self._samples:
            table = sample_rows(self._samples)
            columns = changes.column_types(table.select(table.column_names[2:]).schema)
            rows.append(row_objects.write(self._storage, "samples", table))
        if self._skipped:
            rows.append(row_objects.write(self._storage, "skipped", pa.Table.from_pylist(self._skipped)))
        entry = replace(layout.entry, rows=rows[0].name) if layout and layout.entry else None
        profiles = tuple(self._profiles.values())
        return Segment(entry, tuple(rows), profiles, columns, len(self._samples), self._storage.clock())

    def _record_table(self, layout: SegmentLayout) -> "pa.Table":
        """Return the rows with their places in the segment, in the order of its records."""
        import pyarrow as pa

        from lamofc_catalog import TABLES

        rows = []
        for row, slot in self._rows:
            number, offset, length = layout.locate(slot)
            rows.append({**row, "segment": layout.id, "record": number, "offset": offset, "length": length})
        rows.sort(key=lambda row: int(row["record"]))
        divide_payloads(rows)
        schema = TABLES["records"]
        fields = [schema.field(name) for name in schema.names if name in rows[0]]
        return pa.Table.from_pylist(rows, schema=pa.schema(fields))
