"""Fits a profile of `klt` to samples: codebook size, channel transform, token grid, spreads.

In: samples, read once in bounded memory. Out: a profile; each part is kept only where it pays."""

from lamofc_codecs.klt.fit.fit import fit_profile
from lamofc_codecs.klt.fit.late_samples import moved_to_start
from lamofc_codecs.klt.fit.rotation_search import settle_rotary

__all__ = [
    "fit_profile",
    "moved_to_start",
    "settle_rotary",
]
