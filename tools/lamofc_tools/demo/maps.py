"""Maps of a digit's pixels as targets: the digit that each pixel of ink belongs to, and distances to ink."""

import torch
from torch import Tensor

from lamofc_tools.demo.digits import Digits

_INK_THRESHOLD = 0.4
_INK_DISTANCE = 0.5
"""Distance of a pixel of ink itself, since depths are positive."""
SEGMENTS = 11


def segments(digits: Digits) -> Tensor:
    """Make samples x 8 x 8: 0 where there is no ink, otherwise the digit plus 1."""
    ink = digits.images > _INK_THRESHOLD
    return torch.where(ink, digits.labels[:, None, None] + 1, 0)


def distances(digits: Digits) -> Tensor:
    """Make samples x 8 x 8: the distance in pixels to the nearest ink."""
    side = torch.arange(digits.images.shape[1], dtype=torch.float32)
    places = torch.cartesian_prod(side, side)
    ink = (digits.images > _INK_THRESHOLD).flatten(1)
    to_ink = torch.cdist(places, places)[None].masked_fill(~ink[:, None, :], torch.inf)
    return to_ink.amin(2).reshape(digits.images.shape) + _INK_DISTANCE
