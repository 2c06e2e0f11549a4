"""Linear segmentation: every patch is classified by itself, and the map made as large as the image."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_tools.heads.contract import Given, Head, Task, image


class SegmentationHead(Head):
    """Channels of all features, standardised over the batch, times a matrix."""

    kind = "segmentation"
    tasks = ("segments", "depth")

    def __init__(
        self, widths: Sequence[int], task: Task, *, prefix: int = 0, grid: Sequence[int] | None = None, **options: Any
    ) -> None:
        super().__init__(widths, task, prefix=prefix, grid=grid, **options)
        self._prefix, self._grid = prefix, None if grid is None else (grid[0], grid[1])
        self.before = nn.BatchNorm2d(sum(widths))
        self.classify = nn.Conv2d(sum(widths), task.outputs, 1)

    def forward(self, features: Sequence[Given]) -> Tensor:
        """Samples x classes x rows x columns of patches."""
        images = [image(feature, self._prefix, self._grid).float() for feature in features]
        scores: Tensor = self.classify(self.before(torch.cat(images, dim=1)))
        return scores
