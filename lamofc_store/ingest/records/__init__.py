"""Records: items encoded, and gathered in an open segment with their rows.

In: items and their profiles. Out: records, rows, and at last a segment that a commit makes visible."""

from lamofc_store.ingest.records.deduplicate import distinct
from lamofc_store.ingest.records.encode_items import (
    CodedContent,
    EncodedBatch,
    Failed,
    Task,
    coded_content,
    encode,
    encode_group,
)
from lamofc_store.ingest.records.encoded import Encoded
from lamofc_store.ingest.records.measured import encode_measured, is_measured
from lamofc_store.ingest.records.merge_structure import with_stored_structure
from lamofc_store.ingest.records.open_segment import CLOSE_RECORDS, OpenSegment, StoredItem
from lamofc_store.ingest.records.segment_rows import sample_rows

__all__ = [
    "CLOSE_RECORDS",
    "CodedContent",
    "Encoded",
    "EncodedBatch",
    "Failed",
    "OpenSegment",
    "StoredItem",
    "Task",
    "coded_content",
    "distinct",
    "encode",
    "encode_group",
    "encode_measured",
    "is_measured",
    "sample_rows",
    "with_stored_structure",
]
