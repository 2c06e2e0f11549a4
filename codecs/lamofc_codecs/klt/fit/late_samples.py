"""Samples whose sequences begin late, turned to what they would be at the start of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.klt.format import KltOptions
from lamofc_codecs.klt.transform import Rotary

Sample = TypeVar("Sample", Tensor, Mapping[str, Tensor])


def moved_to_start(sample: Sample, first_position: int, options: KltOptions) -> Sample:
    """Turn the features of a sample back by the position of its first token."""
    rotary = options.rotary
    if not first_position or not isinstance(rotary, Rotary | Mapping):
        return sample
    if isinstance(sample, Tensor):
        return _turned_back(sample, rotary, first_position)
    by_feature = rotary if isinstance(rotary, Mapping) else {}
    return {name: _turned_back(tensor, by_feature.get(name), first_position) for name, tensor in sample.items()}


def _turned_back(tensor: Tensor, rotary: object, position: int) -> Tensor:
    """Turn all tokens back by one position; what cannot be turned is left to the checks of the fit."""
    if not isinstance(rotary, Rotary) or tensor.dim() != 2 or not tensor.dtype.is_floating_point:
        return tensor
    wide = tensor.detach().cpu()
    wide = wide if wide.dtype == torch.float64 else wide.to(torch.float32)
    return rotary.turned(wide, np.full(len(wide), position), back=True)
