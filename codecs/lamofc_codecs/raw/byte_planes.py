"""Numbers of 1, 2, 4 or 8 bytes taken apart into planes of like bytes, and put together again.

The sign of a float is turned to the lowest bit first. What then stands highest is the exponent, on its own or with the
first bits of the mantissa: the one plane of a feature that has few values and is worth an entropy coder.
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
    """Bytes of the numbers in a dtype (half of a complex one), and whether their sign is turned."""
    size = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
    return size, dtype.is_complex or (dtype.is_floating_point and size > 1)


def bytes_of(tensor: Tensor) -> Bytes:
    """The bytes of a contiguous tensor on the CPU, without a copy."""
    flat = tensor.reshape(-1)
    found: Bytes = (flat.view(torch.uint8) if flat.numel() else torch.empty(0, dtype=torch.uint8)).numpy()
    return found


def split(data: Bytes, size: int, turned: bool) -> Bytes:
    """Planes x numbers, the lowest byte first."""
    planes = np.empty((size, len(data) // size), np.uint8)
    (_split_turned if turned else _split)(data.view(_WORDS[size]), planes)
    return planes


def merge(planes: Bytes, out: Bytes, turned: bool) -> None:
    """Undo `split` into `out`."""
    (_merge_turned if turned else _merge)(planes, out.view(_WORDS[len(planes)]))


@compiled
def _split(words: NDArray[Any], planes: Bytes) -> None:
    for plane in range(planes.shape[0]):
        row = planes[plane]
        shift = words.dtype.type(8 * plane)
        for i in range(len(words)):
            row[i] = words[i] >> shift


@compiled
def _split_turned(words: NDArray[Any], planes: Bytes) -> None:
    one, top = words.dtype.type(1), words.dtype.type(8 * words.itemsize - 1)
    for plane in range(planes.shape[0]):
        row = planes[plane]
        shift = words.dtype.type(8 * plane)
        for i in range(len(words)):
            row[i] = ((words[i] << one) | (words[i] >> top)) >> shift


@compiled
def _merge(planes: Bytes, words: NDArray[Any]) -> None:
    kind = words.dtype.type
    words[:] = 0
    for plane in range(planes.shape[0]):
        row = planes[plane]
        shift = kind(8 * plane)
        for i in range(len(words)):
            words[i] |= kind(row[i]) << shift


@compiled
def _merge_turned(planes: Bytes, words: NDArray[Any]) -> None:
    kind = words.dtype.type
    one, top = kind(1), kind(8 * words.itemsize - 1)
    _merge(planes, words)
    for i in range(len(words)):
        words[i] = (words[i] >> one) | (words[i] << top)
