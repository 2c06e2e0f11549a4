"""The container format: the header and the sections of a record, and many records in one buffer.

In: the coded layers of a tensor and their grid. Out: the bytes of a record, and back. Checksums cover every byte, and
every length in a record is checked before it is used."""

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
