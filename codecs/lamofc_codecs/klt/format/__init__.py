"""What `klt` writes: its options, its profile, and the bitstream of a record's sections."""

from lamofc_codecs.klt.format.bitstream import (
    FINEST,
    Head,
    Level,
    Opened,
    Read,
    Side,
    open_layers,
    read_layers,
    read_start,
    write_layers,
)
from lamofc_codecs.klt.format.options import KltOptions
from lamofc_codecs.klt.format.profile import AS_LOUD, LOUDER, KltParameters

__all__ = [
    "AS_LOUD",
    "FINEST",
    "LOUDER",
    "Head",
    "KltOptions",
    "KltParameters",
    "Level",
    "Opened",
    "Read",
    "Side",
    "open_layers",
    "read_layers",
    "read_start",
    "write_layers",
]
