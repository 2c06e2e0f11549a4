"""Catalog rows without payloads, for benchmarks and tests of scale."""

from typing import TYPE_CHECKING

from lamofc_store.commits import Change, SegmentEntry, row_objects
from lamofc_store.storage import new_ulid

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_store.session import Session


def commit_rows(store: "Session", records: "pa.Table", samples: "pa.Table") -> int:
    """Commit rows as an ingest would. They name a segment that was never written, so no record can be read."""
    record_rows = row_objects.write(store.storage, "records", records)
    entries = (record_rows, row_objects.write(store.storage, "samples", samples))
    segment = SegmentEntry(new_ulid(), records.num_rows, int(records["length"].to_numpy().sum()), 0, record_rows.name)
    columns = tuple((field.name, str(field.type)) for field in samples.schema if field.name != "sample")
    note = {"samples": samples.num_rows, "records": records.num_rows}
    change = Change(verb="ingest", adds=entries, segments=(segment,), columns=columns, note=note)
    return store.publish(lambda head: change)
