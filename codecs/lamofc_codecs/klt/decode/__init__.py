"""Reconstruction on the CPU: integers back to features, or to pooled tokens without the tokens."""

from lamofc_codecs.klt.decode.pool import pooled
from lamofc_codecs.klt.decode.reconstruct import synthesise

__all__ = [
    "pooled",
    "synthesise",
]
