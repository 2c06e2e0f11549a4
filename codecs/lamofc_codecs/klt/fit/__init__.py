"""Fits a profile of `klt` to samples: codebook size, channel transform, token grid, spreads.

In: samples, read once in bounded memory. Out: a profile; each part is kept only where it pays."""

from lamofc_codecs.klt.fit.fit import fit_profile

__all__ = [
    "fit_profile",
]
