"""One record at a time through any codec, many at once over threads or on a device.

In: tensors or records with their codecs. Out: records with their figures, or tensors as they were asked for."""

from lamofc_codecs.pipeline.decode_record import Decoding, cells_of
from lamofc_codecs.pipeline.device import decode_on
from lamofc_codecs.pipeline.encode_record import Input, encode_one, size_of
from lamofc_codecs.pipeline.items import keep
from lamofc_codecs.pipeline.threads import each

__all__ = [
    "Decoding",
    "Input",
    "cells_of",
    "decode_on",
    "each",
    "encode_one",
    "keep",
    "size_of",
]
