"""Features of a batch as samples x tokens x channels, or as images."""

from math import isqrt

from torch import Tensor

from lamofc_store import Padded
from lamofc_store.errors import BadArgument, Hint

BatchFeature = Tensor | Padded
"""One feature of all samples of a batch: stacked if their shapes are equal, else padded."""


def tokens_and_mask(feature: BatchFeature) -> tuple[Tensor, Tensor | None]:
    """Return samples x tokens x channels, and a mask that is false for padding; None if nothing is padded."""
    values, mask = (feature.values, feature.mask) if isinstance(feature, Padded) else (feature, None)
    if values.dim() < 2:
        raise BadArgument(f"a feature of shape {tuple(values.shape)} in a batch", "heads take tokens x channels")
    values = values[:, None] if values.dim() == 2 else values.flatten(1, -2)
    if mask is not None and mask.shape[1] != values.shape[1]:
        raise BadArgument(f"{mask.shape[1]} padded tokens in {values.shape[1]}", "heads take one axis of tokens")
    return values, mask


def as_image(feature: BatchFeature, prefix: int, grid: tuple[int, int] | None = None) -> Tensor:
    """Arrange the tokens after `prefix` as samples x channels x height x width; the grid is square if none is given."""
    values, mask = tokens_and_mask(feature)
    if mask is not None:
        raise BadArgument(f"a batch of images of {mask.shape[1]} tokens or fewer", Hint("give [batch] 1"))
    patches = values.shape[1] - prefix
    height, width = grid or (isqrt(max(patches, 0)),) * 2
    if patches < 1 or height * width != patches:
        raise BadArgument(
            f"{values.shape[1]} tokens less {prefix} are no image of {height} x {width}",
            Hint("give [grid] P+HxW: P class and register tokens, then H rows of W patches"),
        )
    return values[:, prefix:].transpose(1, 2).reshape(len(values), -1, height, width)
