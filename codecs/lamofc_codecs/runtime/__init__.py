"""Arrays, casts and compiled code that every codec uses, and that depend on no codec.

In: arrays and tensors. Out: the same, converted or checksummed."""

from lamofc_codecs.runtime.arrays import Doubles, Floats
from lamofc_codecs.runtime.casts import LARGEST_HALF, as_dtype, convert, convert_into, saturate_into
from lamofc_codecs.runtime.checksum import crc32c, crc32c_span
from lamofc_codecs.runtime.deprecation import former_names
from lamofc_codecs.runtime.devices import is_usable_device
from lamofc_codecs.runtime.float32_range import describe_lost, lost_in_float32, scale_of_tiny
from lamofc_codecs.runtime.intrinsics import load16, store16
from lamofc_codecs.runtime.jit import Bytes, Int, as_bytes, compiled, inlined
from lamofc_codecs.runtime.lazy_attribute import lazy
from lamofc_codecs.runtime.single_thread import single_threaded, stay_single_threaded
from lamofc_codecs.runtime.threads import MIN_DECODED, MIN_ENCODED, each

__all__ = [
    "LARGEST_HALF",
    "MIN_DECODED",
    "MIN_ENCODED",
    "Bytes",
    "Doubles",
    "Floats",
    "Int",
    "as_bytes",
    "as_dtype",
    "compiled",
    "convert",
    "convert_into",
    "crc32c",
    "crc32c_span",
    "describe_lost",
    "each",
    "former_names",
    "inlined",
    "is_usable_device",
    "lazy",
    "load16",
    "lost_in_float32",
    "saturate_into",
    "scale_of_tiny",
    "single_threaded",
    "stay_single_threaded",
    "store16",
]
