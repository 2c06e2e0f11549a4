"""The native codec `klt`: a token codebook, a channel KLT, nested quantisers, one entropy coder.

In: tensors of tokens x channels, or a group of them. Out: the layers of a record, any prefix of which decodes."""

from lamofc_codecs.klt.codec import Klt
from lamofc_codecs.klt.transform import Rotary

__all__ = [
    "Klt",
    "Rotary",
]
