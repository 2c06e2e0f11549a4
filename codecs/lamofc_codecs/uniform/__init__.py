"""The codec `uniform`: one quantiser step or b bits for all channels, sigma classes for the entropy coder."""

from lamofc_codecs.uniform.codec import Uniform

__all__ = [
    "Uniform",
]
