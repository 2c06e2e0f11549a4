"""The transforms of `klt`: error weights, codebook of token means, channel KLT in int8, block DCT over tokens.

In: tokens x channels about the channel means. Out: tokens x columns of decreasing variance, and back."""

from lamofc_codecs.klt.transform.block_dct import BANDS, Tile, TokenGrid, TokenGridRule, forward_dct
from lamofc_codecs.klt.transform.channel_ranges import single_range
from lamofc_codecs.klt.transform.coding_space import MAX_FIRST_TOKENS, CodingSpace, rotary_parts
from lamofc_codecs.klt.transform.error_weights import ErrorWeights, digest_of
from lamofc_codecs.klt.transform.factors import MAX_TWO_BYTES
from lamofc_codecs.klt.transform.grid_choice import choose_grid, dct_bits, leading_columns
from lamofc_codecs.klt.transform.int8_transform import Analysis, Basis, Sums
from lamofc_codecs.klt.transform.rotary import Positions, Rotary
from lamofc_codecs.klt.transform.token_codebook import (
    MAX_TYPICAL_TOKENS,
    NO_TYPICAL_TOKEN,
    TokenCodebook,
    fit_codebook,
    nearest_of,
)

__all__ = [
    "BANDS",
    "MAX_FIRST_TOKENS",
    "MAX_TWO_BYTES",
    "MAX_TYPICAL_TOKENS",
    "NO_TYPICAL_TOKEN",
    "Analysis",
    "Basis",
    "CodingSpace",
    "ErrorWeights",
    "Positions",
    "Rotary",
    "Sums",
    "Tile",
    "TokenCodebook",
    "TokenGrid",
    "TokenGridRule",
    "choose_grid",
    "dct_bits",
    "digest_of",
    "fit_codebook",
    "forward_dct",
    "leading_columns",
    "nearest_of",
    "rotary_parts",
    "single_range",
]
