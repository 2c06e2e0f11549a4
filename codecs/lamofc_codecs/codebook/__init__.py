"""Codecs whose symbols are the indices of levels; `lloydmax` places them by k-means.

In: values. Out: level indices, and the levels that stand for them."""

from lamofc_codecs.codebook.level_codec import Codebook
from lamofc_codecs.codebook.levels import ASSIGN, Numbers, fit_levels, number_planes
from lamofc_codecs.codebook.lloydmax import LloydMax

__all__ = [
    "ASSIGN",
    "Codebook",
    "LloydMax",
    "Numbers",
    "fit_levels",
    "number_planes",
]
