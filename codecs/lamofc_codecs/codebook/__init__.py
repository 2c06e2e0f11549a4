"""Scalar codebooks, and the codec `lloydmax`, which places their levels by k-means.

In: values. Out: level indices, and the levels that they stand for."""

from lamofc_codecs.codebook.levels import ASSIGN, Levels, Numbers, fit_levels, number_planes
from lamofc_codecs.codebook.lloydmax import LloydMax
from lamofc_codecs.codebook.options import Assignment, Bits, with_mapped_levels

__all__ = [
    "ASSIGN",
    "Assignment",
    "Bits",
    "Levels",
    "LloydMax",
    "Numbers",
    "fit_levels",
    "number_planes",
    "with_mapped_levels",
]
