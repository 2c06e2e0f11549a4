"""Segments: immutable Zarr groups of records, written once, checked, and moved by compaction."""

from lamofc_store.segments import integrity
from lamofc_store.segments.move_records import Taken, move, retold
from lamofc_store.segments.writer import SMALL, Layout, SegmentWriter, Stream

__all__ = [
    "SMALL",
    "Layout",
    "SegmentWriter",
    "Stream",
    "Taken",
    "integrity",
    "move",
    "retold",
]
