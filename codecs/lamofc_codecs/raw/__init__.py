"""The codec `raw`: lossless, for every dtype, by entropy-coded byte planes."""

from lamofc_codecs.raw.codec import Raw, least_size

__all__ = [
    "Raw",
    "least_size",
]
