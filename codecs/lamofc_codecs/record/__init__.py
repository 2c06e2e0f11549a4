"""The container format: what a record says of itself, its sections, and many records in one buffer.

In: the coded layers of a tensor and the grid that they hold. Out: the bytes of a record, and back; every byte is under
a checksum, and no length in a record is believed before it is checked."""

from lamofc_codecs.record.framing import Buffer, inspect, pack, parse, sections
from lamofc_codecs.record.grid import DTYPE_CODES, Grid
from lamofc_codecs.record.header import Header
from lamofc_codecs.record.packed import Packed, PackedView, verify
from lamofc_codecs.record.record import Figures, Item, Layer, Part, Record

__all__ = [
    "DTYPE_CODES",
    "Buffer",
    "Figures",
    "Grid",
    "Header",
    "Item",
    "Layer",
    "Packed",
    "PackedView",
    "Part",
    "Record",
    "inspect",
    "pack",
    "parse",
    "sections",
    "verify",
]
