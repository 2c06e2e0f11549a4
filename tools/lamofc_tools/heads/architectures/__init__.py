"""Architectures of heads, one a file, and the registry of their names.

In: channels of the input features, a task and options. Out: an untrained head.
"""

from lamofc_tools.heads.architectures.linear import LinearHead, fit_linear
from lamofc_tools.heads.architectures.mask_transformer import MaskPredictions, MaskTransformer
from lamofc_tools.heads.architectures.pooled import PooledHead
from lamofc_tools.heads.architectures.registry import HEADS, head_type, new_head, option_defaults

__all__ = [
    "HEADS",
    "LinearHead",
    "MaskPredictions",
    "MaskTransformer",
    "PooledHead",
    "fit_linear",
    "head_type",
    "new_head",
    "option_defaults",
]
