"""Segments: immutable Zarr groups of records.

In: records with their features, patterns and samples. Out: objects of one group, the place of each record in it, checks
of its bytes, and copies of its live records in another segment."""

from lamofc_store.segments import integrity
from lamofc_store.segments.move_records import MovedRecords, move, replace_columns
from lamofc_store.segments.writer import SMALL_OBJECTS, SegmentLayout, SegmentWriter, Slot, Stream

__all__ = [
    "SMALL_OBJECTS",
    "MovedRecords",
    "SegmentLayout",
    "SegmentWriter",
    "Slot",
    "Stream",
    "integrity",
    "move",
    "replace_columns",
]
