"""Reconstruction on the CPU: levels back to features, or to pooled tokens without the tokens."""

from lamofc_codecs.klt.decode.pool import pooled
from lamofc_codecs.klt.decode.reconstruct import Reconstruction, reconstruct
from lamofc_codecs.klt.decode.sixteenths import sixteenths_of

__all__ = [
    "Reconstruction",
    "pooled",
    "reconstruct",
    "sixteenths_of",
]
