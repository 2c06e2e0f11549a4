"""Coders of others, where they are installed: what they take for the same features at the same error."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

Found = tuple[str, float | None, float, float, float, float, int]
"""Coder, aim, SNR, payload bits, stored bits, profile bits, layers: the fields of a row after its feature."""


def rates(tensors: Sequence[Tensor], aims: Sequence[float]) -> Iterator[Found]:
    """Lossless zstd of float16, and zfp at each aim."""
    yield from _zstd(tensors)
    yield from _zfp(tensors, aims)


def _zstd(tensors: Sequence[Tensor]) -> Iterator[Found]:
    try:
        import zstandard
    except ImportError:
        return
    coder, bits, elements, error, signal = zstandard.ZstdCompressor(level=9), 0, 0, 0.0, 0.0
    for tensor in tensors:
        half = tensor.to(torch.float16)
        bits += 8 * len(coder.compress(half.contiguous().numpy().tobytes()))
        elements += tensor.numel()
        error += float((half.double() - tensor.double()).square().sum())
        signal += float((tensor.double() - tensor.double().mean(0)).square().sum())
    snr = 10 * np.log10(signal / error) if error else 99.0
    yield "zstd of float16", None, float(snr), bits / elements, bits / elements, 0.0, 1


def _zfp(tensors: Sequence[Tensor], aims: Sequence[float]) -> Iterator[Found]:
    try:
        import zfpy
    except ImportError:
        return
    for aim in aims:
        bits, elements, ratios = 0, 0, []
        for tensor in tensors:
            values = np.ascontiguousarray(tensor.float().numpy())
            signal = float(np.square(values - values.mean(0), dtype=np.float64).sum())
            coded, error = _zfp_at(zfpy, values, signal * 10 ** (-aim / 10))
            bits += 8 * len(coded)
            elements += values.size
            ratios.append(error / signal)
        snr = float(-10 * np.log10(np.mean(ratios)))
        yield "zfp", aim, snr, bits / elements, bits / elements, 0.0, 1


def _zfp_at(
    zfpy: object, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], allowed: float
) -> tuple[bytes, float]:
    """The shortest of its bytes by tolerance that leave no more error; zfp knows tolerances by powers of two."""
    best = (b"", 0.0)
    for exponent in range(8, -24, -1):
        coded = zfpy.compress_numpy(values, tolerance=2.0**exponent)  # type: ignore[attr-defined]
        found = zfpy.decompress_numpy(coded)  # type: ignore[attr-defined]
        error = float(np.square(found - values, dtype=np.float64).sum())
        best = (coded, error)
        if error <= allowed:
            break
    return best
