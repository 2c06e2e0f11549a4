"""The exact product of int8 matrices, with which decoding gives the same values on every machine.

`torch._int_mm` is fast but private, and has had faults: on the CPU, torch 2.14 returns uninitialised memory for an
operand with an axis of length 1 whose strides are not those of a row-major matrix, such as one row cut out of a
column-major array. So operands are brought into row-major form first, and `_int_mm` is checked once for each device. If
it is absent or wrong, float64 replaces it, in which sums of up to 2 ** 38 such products are exact as well.
"""

from functools import cache

import torch
from torch import Tensor

_SHAPES = ((1, 1, 1), (1, 8, 24), (1, 15, 1), (2, 3, 5), (17, 32, 8), (33, 40, 48))
"""Rows, inner length and columns of the products that `_int_mm` must get right before it is used."""


def int8_matmul(left: Tensor, right: Tensor) -> Tensor:
    """Multiply two int8 matrices exactly, into int32."""
    if not left.numel() or not right.numel():
        return torch.zeros(len(left), right.shape[1], dtype=torch.int32, device=left.device)
    left, right = _row_major(left), _row_major(right)
    if int_mm_is_exact(left.device):
        return torch._int_mm(left, right)
    return _by_floats(left, right)


@cache
def int_mm_is_exact(device: torch.device) -> bool:
    """Say whether `torch._int_mm` exists and gives exact products on a device."""
    generator = torch.Generator().manual_seed(0)
    multiple = 1 if device.type == "cpu" else 32  # CUDA takes larger shapes only
    try:
        for shape in _SHAPES:
            rows, inner, columns = (-(-length // multiple) * multiple for length in shape)
            left = torch.randint(-127, 128, (rows, inner), generator=generator).to(torch.int8)
            right = torch.randint(-127, 128, (inner, columns), generator=generator).to(torch.int8)
            product = torch._int_mm(left.to(device), right.to(device)).cpu()
            if not torch.equal(product, _by_floats(left, right)):
                return False
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return True


def _by_floats(left: Tensor, right: Tensor) -> Tensor:
    return (left.to(torch.float64) @ right.to(torch.float64)).to(torch.int32)


def _row_major(matrix: Tensor) -> Tensor:
    """Give a matrix with an axis of length 1 the strides of a row-major one."""
    if 1 not in matrix.shape:
        return matrix
    return matrix.contiguous().as_strided(matrix.shape, (matrix.shape[1], 1))
