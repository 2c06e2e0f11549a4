"""Split numbers into planes of their bytes, and join them again.

The sign of a float is rotated to the lowest bit first. The highest plane is then the exponent, alone or with the first
bits of the mantissa. It is the only plane of a feature with few different values, and so the only one that an entropy
coder makes smaller.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.runtime import compiled

Bytes = NDArray[np.uint8]
_WORDS: dict[int, Any] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def word_of(dtype: torch.dtype) -> tuple[int, bool]:
    """Return the bytes of a dtype's numbers (of half a complex number), and whether their sign is rotated."""
    size = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
    return size, dtype.is_complex or (dtype.is_floating_point and size > 1)


def bytes_of(tensor: Tensor) -> Bytes:
    """Return the bytes of a contiguous tensor on the CPU, without a copy."""
    flat = tensor.reshape(-1)
    viewed: Bytes = (flat.view(torch.uint8) if flat.numel() else torch.empty(0, dtype=torch.uint8)).numpy()
    return viewed


def split(data: Bytes, size: int, rotated: bool) -> Bytes:
    """Return planes x numbers, the plane of the lowest bytes first."""
    planes = np.empty((size, len(data) // size), np.uint8)
    (_split_rotated if rotated else _split)(data.view(_WORDS[size]), planes)
    return planes


def merge(planes: Bytes, out: Bytes, rotated: bool) -> None:
    """Undo `split` into `out`."""
    (_merge_rotated if rotated else _merge)(planes, out.view(_WORDS[len(planes)]))


@compiled
def _split(words: NDArray[Any], planes: Bytes) -> None:
    for plane in range(planes.shape[0]):
        row = planes[plane]
        shift = words.dtype.type(8 * plane)
        for i in range(len(words)):
            row[i] = words[i] >> shift


@compiled
def _split_rotated(words: NDArray[Any], planes: Bytes) -> None:
    shift_one, top = words.dtype.type(1), words.dtype.type(8 * words.itemsize - 1)
    for plane in range(planes.shape[0]):
        row = planes[plane]
        shift = words.dtype.type(8 * plane)
        for i in range(len(words)):
            row[i] = ((words[i] << shift_one) | (words[i] >> top)) >> shift


@compiled
def _merge(planes: Bytes, words: NDArray[Any]) -> None:
    word = words.dtype.type
    words[:] = 0
    for plane in range(planes.shape[0]):
        row = planes[plane]
        shift = word(8 * plane)
        for i in range(len(words)):
            words[i] |= word(row[i]) << shift


@compiled
def _merge_rotated(planes: Bytes, words: NDArray[Any]) -> None:
    word = words.dtype.type
    shift_one, top = word(1), word(8 * words.itemsize - 1)
    _merge(planes, words)
    for i in range(len(words)):
        words[i] = (words[i] >> shift_one) | (words[i] << top)
