"""Batches of `klt` records on a device: a few launches for all of them, the same values as on the CPU."""

from lamofc_codecs.klt.gpu import forward
from lamofc_codecs.klt.gpu.batch import decode_together

__all__ = [
    "decode_together",
    "forward",
]
