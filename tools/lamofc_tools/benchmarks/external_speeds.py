"""Speeds of external coders, where they are installed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.comparison import Zfp, Zstd
from lamofc_tools.machine import median_seconds


@dataclass(frozen=True)
class Speed:
    """The rate and the speeds of one external coder."""

    coder: str
    target_db: float | None
    """Signal-to-noise ratio that it codes at; None for a coder of one rate."""
    bits: float
    """Per element."""
    encode_gb_s: float
    """GB/s of float32."""
    decode_gb_s: float


def external_speeds(tensors: Sequence[Tensor], targets_db: Sequence[float], rounds: int) -> Iterator[Speed]:
    """Measure zstd of float16, and zfp at each signal-to-noise ratio."""
    arrays = [np.ascontiguousarray(tensor.float().numpy()) for tensor in tensors]
    elements, size = sum(array.size for array in arrays), sum(array.nbytes for array in arrays) / 1e9
    for target in (None, *targets_db):
        coder: Zstd | Zfp = Zstd(tensors, None) if target is None else Zfp(tensors, target)
        try:
            bound = min(coder.bound_for(array) for array in arrays) if isinstance(coder, Zfp) else 0.0
            coded = [_encode(coder, array, bound) for array in arrays]
        except BadArgument:
            continue
        encoding = median_seconds(lambda: [_encode(coder, array, bound) for array in arrays], rounds)  # noqa: B023 - at once
        pairs = list(zip(coded, arrays, strict=True))
        decoding = median_seconds(lambda: [coder.unpack(data, array.shape) for data, array in pairs], rounds)  # noqa: B023
        name = "zstd of float16" if target is None else "zfp"
        yield Speed(name, target, 8 * sum(map(len, coded)) / elements, size / encoding, size / decoding)


def _encode(coder: Zstd | Zfp, array: NDArray[np.float32], bound: float) -> bytes:
    """Encode at a known error bound: the search for the bound is not part of the speed."""
    return coder.bounded(array, bound) if isinstance(coder, Zfp) else coder.pack(array)
