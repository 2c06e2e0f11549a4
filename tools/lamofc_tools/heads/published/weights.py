"""Weights from files of others."""

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument


def real(name: str, tensor: Tensor) -> Tensor:
    """Return a weight in float32; BadArgument for complex numbers and for values that are not finite."""
    if tensor.is_complex():
        raise BadArgument(f"the weight {name} holds complex numbers", "weights are real; fetch the file again")
    weight = tensor.to_dense().float()
    if not torch.isfinite(weight).all():
        raise BadArgument(f"the weight {name} holds values that are not finite", "fetch the file again")
    return weight
