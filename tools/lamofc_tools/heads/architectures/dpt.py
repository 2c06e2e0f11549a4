"""DPT: four layers of a transformer as images of four sizes, fused from coarse to fine (Ranftl et al., 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lamofc_store.errors import BadArgument
from lamofc_tools.heads.architectures.pyramid import LEVELS, resampling
from lamofc_tools.heads.contract import BatchFeature, Head, Task, as_image, tokens_and_mask

_LAST_CHANNELS = 32
"""Channels before the last convolution, as in the paper."""


@dataclass(frozen=True)
class DptOptions:
    """Options of a DPT head."""

    prefix: int = 0
    """Tokens before the patches: the class token and registers."""
    grid: Sequence[int] | None = None
    """Rows and columns of patches; a square if none is given."""
    inner: int = 64
    """Channels of the fused images."""


class DptHead(Head):
    """A decoder for semantic segmentation and depth estimation."""

    kind = "dpt"
    tasks = ("depth", "segments")
    options_type = DptOptions

    def __init__(self, widths: Sequence[int], task: Task, **options: Any) -> None:
        super().__init__(widths, task, **options)
        settings = DptOptions(**options)
        if len(widths) != LEVELS:
            raise BadArgument(f"{len(widths)} features for a DPT head", f"give {LEVELS}, of layers from early to late")
        self._prefix = settings.prefix
        self._grid = None if settings.grid is None else (settings.grid[0], settings.grid[1])
        inner = settings.inner
        self.readouts = nn.ModuleList(_Readout(width) if settings.prefix else nn.Identity() for width in widths)
        self.resize = nn.ModuleList(_level(width, inner, level) for level, width in enumerate(widths))
        self.fuse = nn.ModuleList(_Fusion(inner) for _ in widths)
        self.finish = nn.Sequential(
            nn.Conv2d(inner, inner // 2, 3, padding=1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            nn.Conv2d(inner // 2, _LAST_CHANNELS, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(_LAST_CHANNELS, task.outputs, 1),
        )

    def forward(self, features: Sequence[BatchFeature]) -> Tensor:
        """Return samples x outputs x height x width, sixteen times the rows and columns of patches."""
        images = [
            resize(as_image(self._project(readout, feature), self._prefix, self._grid))
            for readout, resize, feature in zip(self.readouts, self.resize, features, strict=True)
        ]
        fused: Tensor | None = None
        for fuse, image in zip(self.fuse, reversed(images), strict=True):
            fused = fuse(image, fused)
        outputs: Tensor = self.finish(fused)
        return outputs

    def _project(self, readout: nn.Module, feature: BatchFeature) -> BatchFeature:
        values, mask = tokens_and_mask(feature)
        if mask is not None:
            return feature  # `as_image` refuses it with the sizes in its message
        projected: Tensor = readout(values.float())
        return projected


class _Readout(nn.Module):
    """Concatenate the class token to every token and project the pair back to the token's width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * width, width), nn.GELU())

    def forward(self, tokens: Tensor) -> Tensor:
        """Map samples x tokens x channels to the same shape."""
        class_token = tokens[:, :1].expand_as(tokens)
        projected: Tensor = self.project(torch.cat([tokens, class_token], dim=2))
        return projected


def _level(width: int, inner: int, level: int) -> nn.Sequential:
    """Make a map of the size of its level, the earliest layer the largest, and smooth it."""
    return nn.Sequential(*resampling(width, inner, level), nn.Conv2d(inner, inner, 3, padding=1, bias=False))


class _Residual(nn.Module):
    """Two convolutions added to their input."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.ReLU(), nn.Conv2d(inner, inner, 3, padding=1), nn.ReLU(), nn.Conv2d(inner, inner, 3, padding=1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map samples x inner x rows x columns to the same shape."""
        changed: Tensor = images + self.change(images)
        return changed


class _Fusion(nn.Module):
    """Add the image of a layer to the fused image of the coarser layers, and double the size."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.one, self.both = _Residual(inner), _Residual(inner)  # of the layer alone, and after the sum
        self.project = nn.Conv2d(inner, inner, 1)

    def forward(self, images: Tensor, coarser: Tensor | None) -> Tensor:
        """Return samples x inner x 2 rows x 2 columns of samples x inner x rows x columns."""
        if coarser is not None:
            if coarser.shape[-2:] != images.shape[-2:]:
                coarser = interpolate(coarser, size=images.shape[-2:], mode="bilinear", align_corners=False)
            images = coarser + self.one(images)
        larger = interpolate(self.both(images), scale_factor=2, mode="bilinear", align_corners=False)
        projected: Tensor = self.project(larger)
        return projected
