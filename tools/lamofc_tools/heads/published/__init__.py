"""Heads that others trained: of DINOv2 and DINOv3, from folders of transformers or files of released weights.

In: a folder or a file, a store whose features the head reads, and what neither of them says. Out: a head that is
evaluated like those of `lamofc train`.
"""

from lamofc_tools.heads.published.head import PublishedHead
from lamofc_tools.heads.published.opening import NO_NORM, PublishedSource

__all__ = ["NO_NORM", "PublishedHead", "PublishedSource"]
