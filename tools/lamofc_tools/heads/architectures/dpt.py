"""DPT: four layers of a transformer as images of four sizes, joined from coarse to fine (Ranftl et al., 2021)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lamofc_store.errors import BadArgument
from lamofc_tools.heads.contract import Given, Head, Task, image, tokens_of

LAYERS = 4


class DptHead(Head):
    """For segmentation and for depth."""

    kind = "dpt"
    tasks = ("depth", "segments")

    def __init__(
        self,
        widths: Sequence[int],
        task: Task,
        *,
        prefix: int = 0,
        grid: Sequence[int] | None = None,
        inner: int = 64,
        **options: Any,
    ) -> None:
        super().__init__(widths, task, prefix=prefix, grid=grid, inner=inner, **options)
        if len(widths) != LAYERS:
            raise BadArgument(f"{len(widths)} features for a DPT head", f"give {LAYERS}, of layers from early to late")
        self._prefix, self._grid = prefix, None if grid is None else (grid[0], grid[1])
        self.readouts = nn.ModuleList(_Readout(width) if prefix else nn.Identity() for width in widths)
        self.resize = nn.ModuleList(_resized(width, inner, place) for place, width in enumerate(widths))
        self.fuse = nn.ModuleList(_Fusion(inner) for _ in widths)
        self.finish = nn.Sequential(
            nn.Conv2d(inner, inner // 2, 3, padding=1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            nn.Conv2d(inner // 2, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, task.outputs, 1),
        )

    def forward(self, features: Sequence[Given]) -> Tensor:
        """Samples x outputs x sixteen times the rows and columns of patches."""
        joined: Tensor | None = None
        maps = [
            resize(image(self._read(readout, feature), self._prefix, self._grid))
            for readout, resize, feature in zip(self.readouts, self.resize, features, strict=True)
        ]
        for fuse, one in zip(self.fuse, reversed(maps), strict=True):
            joined = fuse(one, joined)
        finished: Tensor = self.finish(joined)
        return finished

    def _read(self, readout: nn.Module, feature: Given) -> Given:
        values, mask = tokens_of(feature)
        if mask is not None:
            return feature
        read: Tensor = readout(values.float())
        return read


class _Readout(nn.Module):
    """The class token told to every patch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * width, width), nn.GELU())

    def forward(self, tokens: Tensor) -> Tensor:
        """Samples x tokens x channels, in and out."""
        first = tokens[:, :1].expand_as(tokens)
        told: Tensor = self.project(torch.cat([tokens, first], dim=2))
        return told


def _resized(width: int, inner: int, place: int) -> nn.Module:
    """To the inner channels, and 4, 2, 1 or half as many rows and columns."""
    sizes: tuple[nn.Module, ...] = (
        nn.ConvTranspose2d(inner, inner, 4, stride=4),
        nn.ConvTranspose2d(inner, inner, 2, stride=2),
        nn.Identity(),
        nn.Conv2d(inner, inner, 3, stride=2, padding=1),
    )
    return nn.Sequential(nn.Conv2d(width, inner, 1), sizes[place], nn.Conv2d(inner, inner, 3, padding=1, bias=False))


class _Residual(nn.Module):
    def __init__(self, inner: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.ReLU(), nn.Conv2d(inner, inner, 3, padding=1), nn.ReLU(), nn.Conv2d(inner, inner, 3, padding=1)
        )

    def forward(self, images: Tensor) -> Tensor:
        changed: Tensor = images + self.change(images)
        return changed


class _Fusion(nn.Module):
    """A layer's map joined to that of the coarser ones, at twice its size."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.one, self.both = _Residual(inner), _Residual(inner)
        self.project = nn.Conv2d(inner, inner, 1)

    def forward(self, images: Tensor, coarser: Tensor | None) -> Tensor:
        """Samples x inner x rows x columns; twice as many rows and columns come out."""
        if coarser is not None:
            if coarser.shape[-2:] != images.shape[-2:]:
                coarser = interpolate(coarser, size=images.shape[-2:], mode="bilinear", align_corners=False)
            images = coarser + self.one(images)
        larger = interpolate(self.both(images), scale_factor=2, mode="bilinear", align_corners=False)
        projected: Tensor = self.project(larger)
        return projected
