"""Coding of quantised levels, each with a sigma class: a block of symbols, low bits and escapes.

In: levels in runs that share a class. Out: the bytes of a block, which `uniform` and the first layer of `klt` have in
common, and its cost without coding.
"""

from lamofc_codecs.level_coding.block import MAX_LEVELS_PER_BYTE, CodedBlock, block_bits, coded_bits, write_block
from lamofc_codecs.level_coding.escapes import read_escapes, write_escapes
from lamofc_codecs.level_coding.low_bits import RunIndex, pack_low_bits, unpack_low_bits

__all__ = [
    "MAX_LEVELS_PER_BYTE",
    "CodedBlock",
    "RunIndex",
    "block_bits",
    "coded_bits",
    "pack_low_bits",
    "read_escapes",
    "unpack_low_bits",
    "write_block",
    "write_escapes",
]
