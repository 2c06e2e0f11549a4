"""The exact product of int8 matrices, with which decoding gives the same values on every machine.

`torch._int_mm` is fast where a processor multiplies int8 by itself. Elsewhere, as on x86 without AVX-512 VNNI, it is a
plain loop. Products of pairs, of which AVX2 is enough, are 40 times faster, and so is float32, in which sums of up to
1024 products of int8 are exact, too, in whatever order they are added. On the CPU the fastest is found once by trying.

`torch._int_mm` is private, and has had faults: on the CPU, torch 2.14 returns uninitialised memory for an operand with
an axis of length 1 whose strides are not those of a row-major matrix, such as one row cut out of a column-major array.
So such operands get the strides of row-major ones first, and it is checked once for each device.
"""

import os
import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from lamofc_codecs.runtime.products.pair_product import HAS_PAIRS, pair_product
from lamofc_codecs.runtime.products.sparse_product import sparse_product

_Product = Callable[[Tensor, Tensor], Tensor]

_SHAPES = ((1, 1, 1), (1, 8, 24), (1, 15, 1), (2, 3, 5), (17, 32, 8), (33, 40, 48))
"""Rows, inner length and columns of the products that `_int_mm` must get right before it is used."""
_TIMED_SHAPE = (64, 256, 256)
_TIMES = 3
_SPARSE_BESIDE_OTHERS, _SPARSE_BESIDE_BYTES = 0.33, 0.02
"""Shares of values that are not zero below which additions of rows take less time than a dense product.

The second one is beside `torch._int_mm`.
"""
_EXACT_INTEGERS = 1 << 24
"""Bound of the integers that float32 holds exactly."""
_LARGEST_BYTE = 128
"""Largest magnitude of an int8."""
_EXACT_SUM = 1 << 10
"""Products of int8, at most 2 ** 14 each, whose sum float32 holds exactly."""


def int8_matmul(left: Tensor, right: Tensor) -> Tensor:
    """Multiply two int8 matrices exactly, into int32."""
    if not left.numel() or not right.numel():
        return torch.zeros(len(left), right.shape[1], dtype=torch.int32, device=left.device)
    return fastest_product(left.device)(_row_major(left), _row_major(right))


@cache
def fastest_product(device: torch.device) -> _Product:
    """Return the fastest exact product on a device."""
    takes_bytes = _int_mm_is_exact(device)
    if device.type != "cpu":
        return torch._int_mm if takes_bytes else product_by_floats
    products: list[_Product] = [product_by_floats]
    products += [product_by_pairs] if HAS_PAIRS else []
    products += [torch._int_mm] if takes_bytes else []
    return min(products, key=_seconds)


def two_byte_matmul(low: Tensor, high: Tensor, right: Tensor) -> Tensor:
    """Multiply low + 128 high, of which `high` may have fewer columns, by an int8 matrix exactly.

    The sums are int32, or float32 where it holds them. On the CPU a left matrix of mostly zeros is multiplied as such.
    """
    if not low.numel() or low.device.type != "cpu" or low.shape[1] > len(right):
        return _by_bytes(low, high, right)  # which refuses a matrix of fewer rows
    rows, fastest = right[: low.shape[1]], fastest_product(low.device)
    nonzero = int(torch.count_nonzero(low)) / low.numel()
    if nonzero < (_SPARSE_BESIDE_OTHERS if fastest in (product_by_pairs, product_by_floats) else _SPARSE_BESIDE_BYTES):
        out = torch.empty(len(low), right.shape[1], dtype=torch.float32)
        if sparse_product(low.numpy(), high.numpy(), rows.contiguous().numpy(), out.numpy()):
            return out
    if fastest is product_by_pairs:
        return pair_product(low, high, rows)
    if fastest is product_by_floats and high.numel() and _float32_is_exact():
        values = low.to(torch.float32)
        values[:, : high.shape[1]].add_(high, alpha=128)
        if float(values.abs().sum(1).max()) * _LARGEST_BYTE < _EXACT_INTEGERS:
            return _float_product(values, rows)
    return _by_bytes(low, high, right)


def _float_product(left: Tensor, right: Tensor) -> Tensor:
    """Multiply in float32, also where the caller lets torch choose shorter formats."""
    with torch.autocast("cpu", enabled=False):
        return left.to(torch.float32) @ right.to(torch.float32)


def _by_bytes(low: Tensor, high: Tensor, right: Tensor) -> Tensor:
    sums = int8_matmul(low, right[: low.shape[1]])
    return sums.add_(int8_matmul(high, right[: high.shape[1]]), alpha=128) if high.numel() else sums


def _float32_is_exact() -> bool:
    """Say whether torch multiplies float32 as such; a process may allow it or oneDNN shorter formats."""
    if any(os.environ.get(f"{name}_DEFAULT_FPMATH_MODE", "STRICT") != "STRICT" for name in ("ONEDNN", "DNNL")):
        return False
    mkldnn = getattr(torch.backends.mkldnn, "matmul", None)
    if mkldnn is None:  # torch before 2.9
        return torch.get_float32_matmul_precision() == "highest"
    places = (mkldnn, torch.backends.mkldnn, torch.backends)
    return all(getattr(place, "fp32_precision", "none") in {"none", "ieee"} for place in places)


def product_by_pairs(left: Tensor, right: Tensor) -> Tensor:
    """Multiply on the CPU by products of pairs."""
    return pair_product(left, left[:, :0], right)


def product_by_floats(left: Tensor, right: Tensor) -> Tensor:
    """Multiply by floating point: by float32 on the CPU, elsewhere by float64, as tensor cores may add up inexactly."""
    if left.device.type != "cpu":
        return (left.to(torch.float64) @ right.to(torch.float64)).to(torch.int32)
    total = torch.zeros(len(left), right.shape[1], dtype=torch.int32)
    for start in range(0, len(right), _EXACT_SUM):
        piece = slice(start, start + _EXACT_SUM)
        total += _float_product(left[:, piece], right[piece]).to(torch.int32)
    return total


def _int_mm_is_exact(device: torch.device) -> bool:
    """Say whether `torch._int_mm` exists and gives exact products on a device."""
    multiple = 1 if device.type == "cpu" else 32  # CUDA takes larger shapes only
    try:
        for shape in _SHAPES:
            rows, inner, columns = (-(-length // multiple) * multiple for length in shape)
            left, right = _random_matrices((rows, inner, columns))
            product = torch._int_mm(left.to(device), right.to(device)).cpu()
            if not torch.equal(product, product_by_floats(left, right)):
                return False
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return True


def _seconds(product: _Product) -> float:
    """Return how long a product takes on the CPU, at best."""
    left, right = _random_matrices(_TIMED_SHAPE)
    product(left, right)
    taken = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        product(left, right)
        taken.append(time.perf_counter() - start)
    return min(taken)


def _random_matrices(shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows, inner, columns = shape
    left = torch.randint(-127, 128, (rows, inner), generator=generator).to(torch.int8)
    right = torch.randint(-127, 128, (inner, columns), generator=generator).to(torch.int8)
    return left, right


def _row_major(matrix: Tensor) -> Tensor:
    """Give a matrix with an axis of length 1 the strides of a row-major one."""
    if 1 not in matrix.shape:
        return matrix
    return matrix.contiguous().as_strided(matrix.shape, (matrix.shape[1], 1))
