"""The heads by their names."""

from lamofc_tools.heads.attentive import AttentiveHead
from lamofc_tools.heads.dpt import DptHead
from lamofc_tools.heads.head import Head
from lamofc_tools.heads.knn import KnnHead
from lamofc_tools.heads.linear import LinearHead
from lamofc_tools.heads.segmentation import SegmentationHead

KINDS: dict[str, type[Head]] = {
    kind.kind: kind for kind in (LinearHead, KnnHead, AttentiveHead, SegmentationHead, DptHead)
}
