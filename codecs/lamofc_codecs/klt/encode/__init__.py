"""The encoder of `klt`: transforms a source once and tries steps until the quality is met.

In: a surveyed source and a quality. On the way: its coefficients, their quantised levels, candidates with their
distortion. Out: the layers of a record.
"""

from lamofc_codecs.klt.encode.coefficients import analyse
from lamofc_codecs.klt.encode.encode_source import encode_source, keep_rows
from lamofc_codecs.klt.encode.encode_to_target import encode_to_target
from lamofc_codecs.klt.encode.residual import not_finite, outside_bulk

__all__ = [
    "analyse",
    "encode_source",
    "encode_to_target",
    "keep_rows",
    "not_finite",
    "outside_bulk",
]
