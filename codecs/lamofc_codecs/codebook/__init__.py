"""Scalar codebooks, and the codec `lloydmax`, which places their levels by k-means.

In: values. Out: level indices, and the levels that they stand for."""

from lamofc_codecs.codebook.levels import ASSIGN, Levels, Numbers, checked_levels, fit_levels
from lamofc_codecs.codebook.lloydmax import LloydMax
from lamofc_codecs.codebook.options import Assignment, Bits, with_mapped_levels

__all__ = [
    "ASSIGN",
    "Assignment",
    "Bits",
    "Levels",
    "LloydMax",
    "Numbers",
    "checked_levels",
    "fit_levels",
    "with_mapped_levels",
]
