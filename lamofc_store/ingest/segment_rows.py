"""Records and their rows, gathered until a segment is full, then written; a commit makes them visible later."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lamofc_store.commits import ProfileEntry, Segment, row_objects
from lamofc_store.ingest.deduplicate import share_payloads
from lamofc_store.ingest.feature_items import Item
from lamofc_store.sample import Sample
from lamofc_store.segments import SegmentLayout, SegmentWriter, Slot, Stream
from lamofc_store.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_codecs import Part, Profile, Record

CLOSE_RECORDS = 65_536
CLOSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Coded:
    """A record and how it came to be."""

    record: "Record"
    profile: "Profile"
    quality: str
    seconds: float


class Writer:
    """One open segment; `close` writes it and starts no other."""

    def __init__(self, storage: Storage, close_bytes: int) -> None:
        self._storage = storage
        self._close_bytes = close_bytes
        self._writer = SegmentWriter(storage)
        self._rows: list[tuple[dict[str, Any], Slot]] = []
        self._known: dict[tuple[object, ...], int] = {}
        """Which row tells of a content, by it, its profile and its quality."""
        self._samples: dict[str, Sample] = {}
        self._skipped: list[dict[str, Any]] = []
        self._profiles: dict[tuple[str, str], ProfileEntry] = {}
        self._opened = time.monotonic()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to close."""
        return not self._rows and not self._skipped

    @property
    def is_full(self) -> bool:
        """Whether it should be closed before the next sample."""
        writer = self._writer
        late = time.monotonic() - self._opened > CLOSE_SECONDS
        return not self.is_empty and (writer.bytes >= self._close_bytes or writer.records >= CLOSE_RECORDS or late)

    def add(self, items: Sequence[Item], coded: Coded) -> None:
        """Take one record, of one feature or several of a sample, or of one feature of several: a row for each."""
        record, samples = coded.record, list(dict.fromkeys(item.sample for item in items))
        features, patterns = (item.feature for item in items), (item.pattern for item in items)
        stream = Stream.of(features, patterns, coded.profile.id, samples)
        place = self._writer.add(stream, samples, record.data)
        cell = "part" if record.parts else "item"
        for number, item in enumerate(items):
            figures = record.parts or record.items
            shared = {cell: number, **_shared_row(coded, figures[number])} if len(items) > 1 else {}
            if not record.parts:
                self._known.setdefault(_key(item, coded.profile.id, coded.quality), len(self._rows))
            self._rows.append(({**_record_row(item, coded), **shared}, place))

    def holds(self, item: Item, profile: str, quality: str) -> bool:
        """Whether the same content, coded alike, is in this segment already."""
        return _key(item, profile, quality) in self._known

    def share(self, item: Item, profile: str, quality: str) -> int:
        """A row that points at what is there, for one more sample; the bytes of that record."""
        row, place = self._rows[self._known[_key(item, profile, quality)]]
        self._writer.share(place, item.sample)
        self._rows.append(({**row, "sample": item.sample, "encode_seconds": 0.0}, place))
        return self._writer.length(place)

    def add_sample(self, sample: Sample) -> None:
        """Take a sample's own row."""
        self._samples[sample.id] = sample

    def add_profile(self, entry: ProfileEntry) -> None:
        """Name a profile that the records need."""
        self._profiles[entry.id, entry.feature] = entry

    def add_skipped(self, sample: str, feature: str, source: str, error: Exception) -> None:
        """Tell of a sample that was left out."""
        row = {
            "sample": sample,
            "feature": feature,
            "source": source,
            "error": type(error).__name__,
            "message": str(error),
        }
        self._skipped.append(row)

    def abandon(self) -> None:
        """Let go of what was spooled; the storage clears the files."""
        self._writer.abandon()

    def close(self) -> Segment:
        """Write the segment and its rows."""
        import pyarrow as pa

        layout = self._writer.close() if self._rows else None
        rows = []
        if layout is not None:
            rows.append(row_objects.write(self._storage, "records", self._record_rows(layout)))
        columns: tuple[tuple[str, str], ...] = ()
        if self._samples:
            table = sample_rows(self._samples)
            columns = tuple((name, str(table.schema.field(name).type)) for name in table.column_names[2:])
            rows.append(row_objects.write(self._storage, "samples", table))
        if self._skipped:
            rows.append(row_objects.write(self._storage, "skipped", pa.Table.from_pylist(self._skipped)))
        entry = replace(layout.entry, rows=rows[0].name) if layout and layout.entry else None
        profiles = tuple(self._profiles.values())
        return Segment(entry, tuple(rows), profiles, columns, len(self._samples), self._storage.clock())

    def _record_rows(self, layout: SegmentLayout) -> "pa.Table":
        import pyarrow as pa

        from lamofc_catalog import TABLES

        rows = []
        for row, place in self._rows:
            number, offset, length = layout.locate(place)
            rows.append({**row, "segment": layout.id, "record": number, "offset": offset, "length": length})
        rows.sort(key=lambda row: int(row["record"]))
        share_payloads(rows)
        schema = TABLES["records"]
        fields = [schema.field(name) for name in schema.names if name in rows[0]]
        return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def _key(item: Item, profile: str, quality: str) -> tuple[object, ...]:
    """Equal for what is equal and coded alike."""
    return *item.content, profile, quality


def sample_rows(samples: Mapping[str, Sample]) -> "pa.Table":
    """Rows of the table `samples`: id, structure, then the user's columns in order of first sight."""
    import pyarrow as pa

    from lamofc_store.errors import SchemaConflict

    names = list(dict.fromkeys(name for sample in samples.values() for name in sample.attributes))
    arrays = [
        pa.array(list(samples), pa.string()),
        pa.array([sample.structure for sample in samples.values()], pa.string()),
    ]
    for name in names:
        values = [sample.attributes.get(name) for sample in samples.values()]
        try:
            arrays.append(pa.array(values))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise SchemaConflict(
                f"column {name!r} mixes types: {error}", "give each column values of one type"
            ) from error
    return pa.table(dict(zip(["sample", "structure", *names], arrays, strict=True)))


def _shared_row(coded: Coded, found: "Part") -> dict[str, Any]:
    """What the row of one feature, or one sample, of a record tells by itself; bits are shared out by elements."""
    record = coded.record
    layers = [{"bytes": layer.bytes, "sse": sse} for layer, sse in zip(record.layers, found.layers, strict=True)]
    return {
        "layers": layers if len(layers) > 1 else None,
        "sum": found.sum,
        "sum_sq": found.sum_sq,
        "sse": found.sse,
        "max_error": found.max_error,
        "signal": found.signal,
        "bulk_sse": found.bulk_sse,
        "payload_bits": record.payload_bits * found.elements // max(record.elements, 1),
    }


def _record_row(item: Item, coded: Coded) -> dict[str, Any]:
    record = coded.record
    layers = [{"bytes": layer.bytes, "sse": layer.sse} for layer in record.layers] if len(record.layers) > 1 else None
    return {
        "sample": item.sample,
        "feature": item.feature,
        "item": 0,
        "part": 0,
        "layers": layers,
        "shape": list(item.shape),
        "dtype": item.dtype,
        "pattern": item.pattern,
        "grid": item.grid,
        "codec": record.codec,
        "quality": coded.quality,
        "profile": coded.profile.id,
        "source_hash": item.source_hash,
        "elements": item.tokens.numel(),
        "sum": record.sum,
        "sum_sq": record.sum_sq,
        "sse": record.sse,
        "max_error": record.max_error,
        "signal": record.signal,
        "bulk_sse": record.bulk_sse,
        "payload_bits": record.payload_bits,
        "encode_seconds": coded.seconds,
    }
