"""A causal language model cut after a block: its texts, its features there, its rotary positions, the rest of it.

In: a loaded model and texts. Out: passages of one length, features at the split, and what the last block makes of them.
"""

from lamofc_tools.consumer.decoder.passages import (
    CONTINUATION,
    PREFIX,
    TEXTS,
    Passages,
    TooFewTexts,
    cut_passages,
    usual_passages,
)
from lamofc_tools.consumer.decoder.rotary import find_rotary, is_same_rotation, key_rotations
from lamofc_tools.consumer.decoder.split import Split, feature_channels, require_attention, token_ids

__all__ = [
    "CONTINUATION",
    "PREFIX",
    "TEXTS",
    "Passages",
    "Split",
    "TooFewTexts",
    "cut_passages",
    "feature_channels",
    "find_rotary",
    "is_same_rotation",
    "key_rotations",
    "require_attention",
    "token_ids",
    "usual_passages",
]
