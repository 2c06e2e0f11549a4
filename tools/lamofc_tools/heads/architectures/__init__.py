"""Heads, one architecture a file."""

from lamofc_tools.heads.architectures.attentive import AttentiveHead
from lamofc_tools.heads.architectures.dpt import DptHead
from lamofc_tools.heads.architectures.knn import KnnHead
from lamofc_tools.heads.architectures.linear import LinearHead, fit_linear
from lamofc_tools.heads.architectures.linear_segmentation import SegmentationHead
from lamofc_tools.heads.architectures.pooled import PooledHead

__all__ = [
    "AttentiveHead",
    "DptHead",
    "KnnHead",
    "LinearHead",
    "PooledHead",
    "SegmentationHead",
    "fit_linear",
]
