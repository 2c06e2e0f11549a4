"""Tensors to small bitstreams and back. A leaf: it knows no store, no path but a profile's, and no SQL."""

from lamofc_codecs.api import decode, encode, fit, framing, pooled, quantised
from lamofc_codecs.codebook import number_planes
from lamofc_codecs.codec import Codec
from lamofc_codecs.errors import (
    BadQuality,
    CodecError,
    CorruptRecord,
    MissingExtra,
    NonFiniteInput,
    UnknownCodec,
    UnknownProfile,
    UnsupportedInput,
)
from lamofc_codecs.klt import levels_of
from lamofc_codecs.learned import PAPERS, Sizes, import_checkpoint, trainable, weights_from_model
from lamofc_codecs.pipeline import keep
from lamofc_codecs.pooling import Pool
from lamofc_codecs.profile import Profile
from lamofc_codecs.published import published_levels
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import Header, Layer, Packed, Part, Record, inspect, verify
from lamofc_codecs.registry import CODECS, codec_ids, describe
from lamofc_codecs.source import Coded, Source
from lamofc_codecs.stats import Group, find_groups, relative_bits

__all__ = [
    "CODECS",
    "PAPERS",
    "BadQuality",
    "Codec",
    "CodecError",
    "Coded",
    "CorruptRecord",
    "Group",
    "Header",
    "Layer",
    "MissingExtra",
    "NonFiniteInput",
    "Packed",
    "Part",
    "Pool",
    "Profile",
    "Quality",
    "Record",
    "Sizes",
    "Source",
    "UnknownCodec",
    "UnknownProfile",
    "UnsupportedInput",
    "codec_ids",
    "decode",
    "describe",
    "encode",
    "find_groups",
    "fit",
    "framing",
    "import_checkpoint",
    "inspect",
    "keep",
    "levels_of",
    "number_planes",
    "pooled",
    "published_levels",
    "quantised",
    "relative_bits",
    "trainable",
    "verify",
    "weights_from_model",
]
