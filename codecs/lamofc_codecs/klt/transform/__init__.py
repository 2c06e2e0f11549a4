"""The transforms of `klt`: error weights, codebook of token means, channel KLT in int8, block DCT over tokens.

In: tokens x channels about the channel means. Out: tokens x columns of decreasing variance, and back."""

from lamofc_codecs.klt.transform.block_dct import BANDS, Tile, TokenGrid, TokenGridRule, forward_dct
from lamofc_codecs.klt.transform.error_weights import ErrorWeights, digest_of
from lamofc_codecs.klt.transform.grid_choice import choose_grid, spread_out, told
from lamofc_codecs.klt.transform.int8_transform import TWO_BYTES, Analysis, Basis, in_one
from lamofc_codecs.klt.transform.token_codebook import MOST, TokenCodebook, fit_codebook, nearest_of

__all__ = [
    "BANDS",
    "MOST",
    "TWO_BYTES",
    "Analysis",
    "Basis",
    "ErrorWeights",
    "Tile",
    "TokenCodebook",
    "TokenGrid",
    "TokenGridRule",
    "choose_grid",
    "digest_of",
    "fit_codebook",
    "forward_dct",
    "in_one",
    "nearest_of",
    "spread_out",
    "told",
]
