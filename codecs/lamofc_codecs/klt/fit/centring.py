"""Tokens of a fit as the transform sees them: centred, without massive activations."""

from __future__ import annotations

import torch
from torch import Tensor

from lamofc_codecs.runtime import Floats
from lamofc_codecs.stats import Bulk


def centre(values: Floats, bulk: Bulk) -> Tensor:
    """Subtract the channel means in place, and set entries outside the bulk to 0."""
    outside = bulk.outside(values)
    values -= bulk.mean
    values[outside] = 0
    return torch.from_numpy(values)
