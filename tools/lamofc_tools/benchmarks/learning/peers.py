"""Coders of others, where they are installed: how fast they are on the same features."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.comparison import Zfp, Zstd
from lamofc_tools.machine import seconds


def speeds(
    tensors: Sequence[Tensor], aims: Sequence[float], rounds: int
) -> Iterator[tuple[str, float | None, float, float, float]]:
    """Coder, aim, bits an element, GB/s of float32 to encode and to decode: zstd of float16, and zfp at each aim."""
    arrays = [np.ascontiguousarray(tensor.float().numpy()) for tensor in tensors]
    elements, size = sum(array.size for array in arrays), sum(array.nbytes for array in arrays) / 1e9
    for aim in (None, *aims):
        coder: Zstd | Zfp = Zstd(tensors, None) if aim is None else Zfp(tensors, aim)
        try:
            bound = min(coder.bound_for(array) for array in arrays) if isinstance(coder, Zfp) else 0.0
            coded = [_encode(coder, array, bound) for array in arrays]
        except BadArgument:
            continue
        encoding = seconds(lambda: [_encode(coder, array, bound) for array in arrays], rounds)  # noqa: B023 - at once
        pairs = list(zip(coded, arrays, strict=True))
        decoding = seconds(lambda: [coder.unpack(some, array.shape) for some, array in pairs], rounds)  # noqa: B023
        name = "zstd of float16" if aim is None else "zfp"
        yield name, aim, 8 * sum(map(len, coded)) / elements, size / encoding, size / decoding


def _encode(coder: Zstd | Zfp, array: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", bound: float) -> bytes:
    """At a bound that is known, where there is one: the search for it is no part of the speed."""
    return coder.bounded(array, bound) if isinstance(coder, Zfp) else coder.pack(array)
