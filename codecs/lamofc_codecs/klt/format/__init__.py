"""The options of `klt`, its profile, and the bitstream of a record's sections."""

from lamofc_codecs.klt.format.bitstream import (
    MIN_STEP,
    DecodedLevel,
    LayerHead,
    OpenedLayers,
    ReadLayers,
    SideInformation,
    open_layers,
    read_layers,
    read_start,
    write_layers,
)
from lamofc_codecs.klt.format.options import KltOptions
from lamofc_codecs.klt.format.profile import BAND_FACTORS, UNIT_BAND_CODE, KltParameters
from lamofc_codecs.klt.format.stored_matrices import TypicalColumns, basis_tensors

__all__ = [
    "BAND_FACTORS",
    "MIN_STEP",
    "UNIT_BAND_CODE",
    "DecodedLevel",
    "KltOptions",
    "KltParameters",
    "LayerHead",
    "OpenedLayers",
    "ReadLayers",
    "SideInformation",
    "TypicalColumns",
    "basis_tensors",
    "open_layers",
    "read_layers",
    "read_start",
    "write_layers",
]
