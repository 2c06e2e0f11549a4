"""Code tensors to small bitstreams and back, independent of stores, of SQL, and of all paths but a profile's."""

from lamofc_codecs.abilities import (
    Batched,
    Blockable,
    Framed,
    Gradual,
    Grouped,
    HasBaseline,
    Layered,
    OnDevice,
    Poolable,
    Positioned,
    Quantising,
    Settled,
    Settling,
    Sliceable,
    Steerable,
)
from lamofc_codecs.api import (
    decode,
    decode_pooled,
    encode,
    fit,
    framing,
    levels_of,
    quantised,
    recorded_options,
    targets_of,
)
from lamofc_codecs.codec import Codec, require
from lamofc_codecs.errors import (
    BadQuality,
    BeyondFloat32,
    CodecError,
    CorruptRecord,
    MissingExtra,
    NoFiniteAnswer,
    NonFiniteInput,
    OutOfReach,
    UnknownCodec,
    UnknownProfile,
    UnsupportedInput,
)
from lamofc_codecs.klt import Rotary
from lamofc_codecs.learned import (
    PAPERS,
    Sizes,
    checkpoint_state,
    import_checkpoint,
    trainable,
    training_planes,
    weights_from_model,
)
from lamofc_codecs.measured import Coding, Draw, Guide, MeasuredRecords, encode_measured, encode_together
from lamofc_codecs.options import Between, Options
from lamofc_codecs.pipeline import keep
from lamofc_codecs.pooling import Pool
from lamofc_codecs.profile import Profile
from lamofc_codecs.published import PublishedSettings, PublishedTraining, published_levels, published_settings
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import Figures, Header, Item, Layer, Packed, Part, Record, inspect, verify
from lamofc_codecs.registry import CODECS, LOSSLESS, codec_ids, describe, open_codec
from lamofc_codecs.runtime import former_names, is_usable_device, lost_in_float32
from lamofc_codecs.source import DecodeRequest, Encoding, PartShape, Placement, Source
from lamofc_codecs.stats import Distortion, Group, find_groups, relative_bits
from lamofc_codecs.video import known_vtm, register_vtm

__all__ = [
    "CODECS",
    "LOSSLESS",
    "PAPERS",
    "BadQuality",
    "Batched",
    "Between",
    "BeyondFloat32",
    "Blockable",
    "Codec",
    "CodecError",
    "Coding",
    "CorruptRecord",
    "DecodeRequest",
    "Distortion",
    "Draw",
    "Encoding",
    "Figures",
    "Framed",
    "Gradual",
    "Group",
    "Grouped",
    "Guide",
    "HasBaseline",
    "Header",
    "Item",
    "Layer",
    "Layered",
    "MeasuredRecords",
    "MissingExtra",
    "NoFiniteAnswer",
    "NonFiniteInput",
    "OnDevice",
    "Options",
    "OutOfReach",
    "Packed",
    "Part",
    "PartShape",
    "Placement",
    "Pool",
    "Poolable",
    "Positioned",
    "Profile",
    "PublishedSettings",
    "PublishedTraining",
    "Quality",
    "Quantising",
    "Record",
    "Rotary",
    "Settled",
    "Settling",
    "Sizes",
    "Sliceable",
    "Source",
    "Steerable",
    "UnknownCodec",
    "UnknownProfile",
    "UnsupportedInput",
    "checkpoint_state",
    "codec_ids",
    "decode",
    "decode_pooled",
    "describe",
    "encode",
    "encode_measured",
    "encode_together",
    "find_groups",
    "fit",
    "framing",
    "import_checkpoint",
    "inspect",
    "is_usable_device",
    "keep",
    "known_vtm",
    "levels_of",
    "lost_in_float32",
    "open_codec",
    "published_levels",
    "published_settings",
    "recorded_options",
    "register_vtm",
    "relative_bits",
    "require",
    "targets_of",
    "trainable",
    "training_planes",
    "verify",
    "weights_from_model",
]

__getattr__ = former_names(
    __name__,
    {
        "Coded": ("Encoding", Encoding),
        "pooled": ("decode_pooled", decode_pooled),
        "quantised": ("the method `quantise` of codecs that are Quantising, as open_codec returns them", quantised),
    },
)


def __dir__() -> list[str]:
    return __all__
