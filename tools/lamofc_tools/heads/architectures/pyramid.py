"""Maps of four sizes from the layers of a vision transformer, whose own maps all have one size."""

from torch import nn

LEVELS = 4
"""Sizes of the maps: 4, 2, 1 and 1/2 times the rows and columns of patches."""


def resampling(width: int, inner: int, level: int) -> nn.Sequential:
    """Project a map to the inner channels and resize it by 4, 2, 1 or 1/2 for levels 0 to 3."""
    sizes: tuple[nn.Module, ...] = (
        nn.ConvTranspose2d(inner, inner, 4, stride=4),
        nn.ConvTranspose2d(inner, inner, 2, stride=2),
        nn.Identity(),
        nn.Conv2d(inner, inner, 3, stride=2, padding=1),
    )
    return nn.Sequential(nn.Conv2d(width, inner, 1), sizes[level])
