"""The exact product of int8 matrices, on which it rests that decoding gives the same values everywhere.

`torch._int_mm` is fast but private, and not to be trusted blindly: on the CPU, torch 2.14 returns uninitialised memory
for an operand with an axis of length 1 whose strides are not those of a row-major matrix, such as one row cut out of a
column-major array. So operands are brought into row-major form first, and `_int_mm` is checked once for each device.
Where it is absent or wrong, float64 takes its place: sums of up to 2 ** 38 such products are exact in it, too.
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
    """Whether `torch._int_mm` is there and gives exact products on this device; CUDA takes larger shapes only."""
    draw = torch.Generator().manual_seed(0)
    least = 1 if device.type == "cpu" else 32
    try:
        for shape in _SHAPES:
            rows, inner, columns = (-(-length // least) * least for length in shape)
            left = torch.randint(-127, 128, (rows, inner), generator=draw).to(torch.int8)
            right = torch.randint(-127, 128, (inner, columns), generator=draw).to(torch.int8)
            found = torch._int_mm(left.to(device), right.to(device)).cpu()
            if not torch.equal(found, _by_floats(left, right)):
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
