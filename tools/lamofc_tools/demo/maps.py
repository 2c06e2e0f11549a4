"""What a digit's pixels can be asked for: which digit's ink they are, and how far from ink they lie."""

import torch
from torch import Tensor

from lamofc_tools.demo.digits import Digits

_INK = 0.4
_NEAREST = 0.5
"""What a pixel of ink itself counts for, since depths are above nothing."""
SEGMENTS = 11


def segments(digits: Digits) -> Tensor:
    """Samples x 8 x 8: 0 where there is no ink, else the digit and 1."""
    ink = digits.images > _INK
    return torch.where(ink, digits.labels[:, None, None] + 1, 0)


def distances(digits: Digits) -> Tensor:
    """Samples x 8 x 8: pixels to the nearest ink."""
    side = torch.arange(digits.images.shape[1], dtype=torch.float32)
    places = torch.cartesian_prod(side, side)
    ink = (digits.images > _INK).flatten(1)
    far = torch.cdist(places, places)[None].masked_fill(~ink[:, None, :], torch.inf)
    return far.amin(2).reshape(digits.images.shape) + _NEAREST
