"""Reconstruction on the CPU: levels back to features, or to pooled tokens without the tokens."""

from lamofc_codecs.klt.decode.pool import pooled
from lamofc_codecs.klt.decode.reconstruct import reconstruct

__all__ = [
    "pooled",
    "reconstruct",
]
