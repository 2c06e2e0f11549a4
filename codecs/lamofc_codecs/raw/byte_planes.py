"""Split numbers into planes of their bytes, and join them again.

The sign of a float is rotated to the lowest bit first. The highest plane is then the exponent, alone or with the first
bits of the mantissa. It is the only plane of a feature with few different values, and so the only one that an entropy
coder makes smaller.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.runtime import Int, compiled

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


def split(data: Bytes, size: int, rotated: bool) -> Iterator[Bytes]:
    """Yield the planes, that of the lowest bytes first."""
    words = data.view(_WORDS[size])
    for number in range(size):
        plane = np.empty(len(words), np.uint8)
        _take_plane(words, 8 * number, rotated, plane)
        yield plane


def merge(planes: Iterable[Bytes], out: Bytes, size: int, rotated: bool) -> None:
    """Undo `split` into `out`."""
    words = out.view(_WORDS[size])
    words[:] = 0
    for number, plane in enumerate(planes):
        _put_plane(plane, 8 * number, words)
    if rotated:
        _rotate_back(words)


@compiled
def _take_plane(words: NDArray[Any], shift: Int, rotated: bool, plane: Bytes) -> None:
    one, top, down = words.dtype.type(1), words.dtype.type(8 * words.itemsize - 1), words.dtype.type(shift)
    if rotated:
        for i in range(len(words)):
            plane[i] = ((words[i] << one) | (words[i] >> top)) >> down
    else:
        for i in range(len(words)):
            plane[i] = words[i] >> down


@compiled
def _put_plane(plane: Bytes, shift: Int, words: NDArray[Any]) -> None:
    word = words.dtype.type
    up = word(shift)
    for i in range(len(words)):
        words[i] |= word(plane[i]) << up


@compiled
def _rotate_back(words: NDArray[Any]) -> None:
    word = words.dtype.type
    one, top = word(1), word(8 * words.itemsize - 1)
    for i in range(len(words)):
        words[i] = (words[i] >> one) | (words[i] << top)
