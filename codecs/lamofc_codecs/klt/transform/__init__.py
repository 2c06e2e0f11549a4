"""The transforms of `klt`: error weights, codebook of token means, channel KLT in int8, block DCT over tokens.

In: tokens x channels about the channel means. Out: tokens x columns of decreasing variance, and back."""

from lamofc_codecs.klt.transform.block_dct import BANDS, Field, Terrain, Tile, turn
from lamofc_codecs.klt.transform.error_weights import Metric, digest_of
from lamofc_codecs.klt.transform.grid_choice import choose_field, spread_out, told
from lamofc_codecs.klt.transform.int8_transform import TWO_BYTES, Analysis, Basis, in_one
from lamofc_codecs.klt.transform.token_codebook import MOST, Means, find_means, nearest_of

__all__ = [
    "BANDS",
    "MOST",
    "TWO_BYTES",
    "Analysis",
    "Basis",
    "Field",
    "Means",
    "Metric",
    "Terrain",
    "Tile",
    "choose_field",
    "digest_of",
    "find_means",
    "in_one",
    "nearest_of",
    "spread_out",
    "told",
    "turn",
]
