"""The heads by their names."""

from lamofc_tools.heads.architectures import AttentiveHead, DptHead, KnnHead, LinearHead, SegmentationHead
from lamofc_tools.heads.contract import Head

KINDS: dict[str, type[Head]] = {
    kind.kind: kind for kind in (LinearHead, KnnHead, AttentiveHead, SegmentationHead, DptHead)
}
