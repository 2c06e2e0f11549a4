"""The encoder of `klt`: transforms a sample once and tries steps until the quality is met.

In: a surveyed source and a quality. Out: integers, side information and the distortion of every layer."""

from lamofc_codecs.klt.encode.equalise import equalise_items
from lamofc_codecs.klt.encode.sample_encoder import SampleEncoder
from lamofc_codecs.klt.encode.subset import keep_rows

__all__ = [
    "SampleEncoder",
    "equalise_items",
    "keep_rows",
]
