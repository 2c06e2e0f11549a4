"""Tensors to small bitstreams and back. A leaf: it knows no store, no path but a profile's, and no SQL."""

from lamofc_codecs.batch import decode, encode, fit, framing, pooled, quantised
from lamofc_codecs.codec import Codec, Coded, Source
from lamofc_codecs.compressai_models import PAPERS, import_checkpoint, trainable, weights_from_model
from lamofc_codecs.encoded import Layer, Part, Record
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
from lamofc_codecs.header import Header
from lamofc_codecs.items import keep
from lamofc_codecs.kinship import Group, find_groups
from lamofc_codecs.klt import levels_of
from lamofc_codecs.levels import number_planes
from lamofc_codecs.likeness import relative_bits
from lamofc_codecs.mappings import published_levels
from lamofc_codecs.networks import Sizes
from lamofc_codecs.packed import Packed, verify
from lamofc_codecs.pool import Pool
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import inspect
from lamofc_codecs.registry import CODECS, codec_ids, describe

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
