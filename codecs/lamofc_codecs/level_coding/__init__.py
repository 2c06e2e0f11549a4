"""Coding of quantised levels, each with a sigma class: a block of symbols, low bits and escapes.

In: levels in runs that share a class. Out: the bytes of a block, which `uniform` and the first layer of `klt` have in
common, and its cost without coding.
"""

from lamofc_codecs.level_coding.block import MAX_LEVELS_PER_BYTE, CodedBlock, block_bits, coded_bits, write_block
from lamofc_codecs.level_coding.escapes import read_escapes, write_escapes
from lamofc_codecs.level_coding.low_bits import RunIndex, pack_low_bits, unpack_low_bits
from lamofc_codecs.level_coding.matrix import is_codable, read_matrix, write_matrix
from lamofc_codecs.level_coding.run_layout import RunLayout, tables_of_rows

__all__ = [
    "MAX_LEVELS_PER_BYTE",
    "CodedBlock",
    "RunIndex",
    "RunLayout",
    "block_bits",
    "coded_bits",
    "is_codable",
    "pack_low_bits",
    "read_escapes",
    "read_matrix",
    "tables_of_rows",
    "unpack_low_bits",
    "write_block",
    "write_escapes",
    "write_matrix",
]
