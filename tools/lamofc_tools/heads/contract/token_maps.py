"""Features of a batch as samples x tokens x channels, or laid out as images."""

from math import isqrt

from torch import Tensor

from lamofc_store import Padded
from lamofc_store.errors import BadArgument

Given = Tensor | Padded
"""A feature of a batch, stacked or padded."""


def tokens_of(feature: Given) -> tuple[Tensor, Tensor | None]:
    """Samples x tokens x channels, and which tokens are there where not all are."""
    values, mask = (feature.values, feature.mask) if isinstance(feature, Padded) else (feature, None)
    if values.dim() < 2:
        raise BadArgument(f"a feature of shape {tuple(values.shape)} in a batch", "heads take tokens x channels")
    values = values[:, None] if values.dim() == 2 else values.flatten(1, -2)
    if mask is not None and mask.shape[1] != values.shape[1]:
        raise BadArgument(f"{mask.shape[1]} padded tokens in {values.shape[1]}", "heads take one axis of tokens")
    return values, mask


def image(feature: Given, prefix: int, grid: tuple[int, int] | None = None) -> Tensor:
    """Samples x channels x height x width: the tokens after `prefix`, in rows; a square where no grid is told."""
    values, mask = tokens_of(feature)
    if mask is not None:
        raise BadArgument("images of different sizes in one batch", "batch_size 1, or features of one size")
    count = values.shape[1] - prefix
    height, width = grid or (isqrt(max(count, 0)),) * 2
    if count < 1 or height * width != count:
        raise BadArgument(
            f"{values.shape[1]} tokens less {prefix} are no image of {height} x {width}",
            "give the prefix (class and register tokens) and the grid of the patches: --prefix 5 --grid 32x32",
        )
    return values[:, prefix:].transpose(1, 2).reshape(len(values), -1, height, width)
