"""Linear segmentation: each patch is classified alone, and the map is resized to the image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_tools.heads.contract import BatchFeature, Head, Task, as_image


@dataclass(frozen=True)
class SegmentationOptions:
    """Options of a linear segmentation head."""

    prefix: int = 0
    """Tokens before the patches: the class token and registers."""
    grid: Sequence[int] | None = None
    """Rows and columns of patches; a square if none is given."""


class SegmentationHead(Head):
    """A linear layer on the channels of all features, which are standardised over the batch."""

    kind = "segmentation"
    tasks = ("segments", "depth")
    options_type = SegmentationOptions

    def __init__(self, widths: Sequence[int], task: Task, **options: Any) -> None:
        super().__init__(widths, task, **options)
        settings = SegmentationOptions(**options)
        self._prefix = settings.prefix
        self._grid = None if settings.grid is None else (settings.grid[0], settings.grid[1])
        self.before = nn.BatchNorm2d(sum(widths))
        self.classify = nn.Conv2d(sum(widths), task.outputs, 1)

    def forward(self, features: Sequence[BatchFeature]) -> Tensor:
        """Return samples x outputs x rows x columns of patches."""
        images = [as_image(feature, self._prefix, self._grid).float() for feature in features]
        scores: Tensor = self.classify(self.before(torch.cat(images, dim=1)))
        return scores
