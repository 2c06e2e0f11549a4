"""Views of an image as the evaluation scripts of LaMoFCBench put them through DINOv3: one crop, a flip pair, or crops.

The scripts resize in three ways: the classification script an 8-bit tensor by bicubic interpolation, the depth script a
tensor of floats and the segmentation script a picture of Pillow by bilinear interpolation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamofc_codecs import MissingExtra
from lamofc_store.errors import BadArgument, Hint, SourceError

if TYPE_CHECKING:
    from torch import Tensor

Cut = Callable[[Any, "ImageViews"], "list[Tensor]"]
"""Cuts an image of Pillow into views with values from 0 to 1."""


_MAX_PIXELS = 1 << 24
"""Most pixels of a resized image: its views take a gigabyte."""


@dataclass(frozen=True)
class ImageViews:
    """The views that one script takes of each image."""

    cut: Cut
    side: int
    """Pixels of the shorter side after resizing."""
    stride: int = 0
    """Pixels between neighbouring crops."""

    def check_size(self, image: Any, path: Path) -> None:
        """Refuse an image that is so long and narrow that its resized form would fill the memory."""
        width, height = image.size
        longer = self.side * max(width, height) // min(width, height)
        if self.side * longer > _MAX_PIXELS:
            raise SourceError(
                f"{path} of {width} x {height} pixels would be resized to {self.side} x {longer}",
                f"leave it out, or cut it: at most {_MAX_PIXELS // self.side**2} times as long as it is wide is taken",
            )

    def tensor(self, image: Any, mean: Sequence[float], std: Sequence[float]) -> Tensor:
        """Return the normalised views of an image, one a row."""
        import torch

        functional = _functional()
        views = [functional.normalize(view, list(mean), list(std)) for view in self.cut(image, self)]
        return torch.stack(views)


def centre_crop(image: Any, views: ImageViews) -> list[Tensor]:
    """Resize the shorter side, and take the square in the centre."""
    import torch

    functional = _functional()
    resized = functional.resize(functional.pil_to_tensor(image), [views.side], "bicubic")
    square = functional.center_crop(resized, [views.side, views.side])
    return [functional.to_dtype(square, torch.float32, scale=True)]


def flip_pair(image: Any, views: ImageViews) -> list[Tensor]:
    """Resize the shorter side; return the image and its mirror image."""
    functional = _functional()
    resized = functional.resize(functional.pil_to_tensor(image).float() / 255, [views.side], "bilinear")
    return [resized, functional.hflip(resized)]


def sliding_crops(image: Any, views: ImageViews) -> list[Tensor]:
    """Resize the shorter side, and cut squares at equal distances, row by row; the last ones end at the border."""
    functional = _functional()
    width, height = image.size
    longer = int(views.side * max(width, height) / min(width, height) + 0.5)
    size = [longer, views.side] if height > width else [views.side, longer]
    resized = functional.resize(image, size, "bilinear")
    pixels = functional.pil_to_tensor(resized).float() / 255
    starts = [_starts(length, views.side, views.stride) for length in size]
    return [pixels[:, top : top + views.side, left : left + views.side] for top, left in product(*starts)]


def _starts(length: int, side: int, stride: int) -> list[int]:
    """Return where the crops along an axis begin."""
    count = -(-max(length - side, 0) // stride) + 1
    return [min(number * stride, length - side) for number in range(count)]


IMAGE_VIEWS = {
    "dinov3cls": ImageViews(centre_crop, 512),
    "dinov3dep": ImageViews(flip_pair, 768),
    "dinov3seg": ImageViews(sliding_crops, 896, 596),
}
"""Views by the script that takes them."""


def image_views(script: str) -> ImageViews:
    """Return the views of a script; BadArgument for a script that takes none."""
    if script not in IMAGE_VIEWS:
        raise BadArgument(
            f"{script!r} takes no views of images",
            Hint(f"give [script] {', '.join(IMAGE_VIEWS)}, or extract without one and export for {script}"),
        )
    return IMAGE_VIEWS[script]


def _functional() -> Any:
    try:
        from torchvision.transforms.v2 import functional
    except ImportError as error:
        raise MissingExtra(
            f"views of images need torchvision: {error}", "pip install 'lamofc-store[models]'"
        ) from error
    return functional
