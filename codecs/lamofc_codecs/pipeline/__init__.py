"""Encode and decode records with any codec: one at a time, many on several threads, or many together on a device.

In: tensors or records with their codecs. Out: records with their figures, or the requested tensors."""

from lamofc_codecs.pipeline.decode_record import DecodeJob, cells_of
from lamofc_codecs.pipeline.device import decode_on
from lamofc_codecs.pipeline.encode_record import Encodable, Encoder, elements_of, require_tensors, tensors_in
from lamofc_codecs.pipeline.items import keep
from lamofc_codecs.pipeline.together import decode_on_cpu

__all__ = [
    "DecodeJob",
    "Encodable",
    "Encoder",
    "cells_of",
    "decode_on",
    "decode_on_cpu",
    "elements_of",
    "keep",
    "require_tensors",
    "tensors_in",
]
