"""Coders of others, where they are installed: what they take for the same features at the same error."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_tools.machine import seconds

_MASSIVE = 100
Speed = tuple[str, float | None, float, float, float]
Array = NDArray[np.float32]
Coder = Callable[[Any], Any]

Found = tuple[str, float | None, float, float, float, float, int]
"""Coder, aim, SNR, payload bits, stored bits, profile bits, layers: the fields of a row after its feature."""


def rates(tensors: Sequence[Tensor], aims: Sequence[float]) -> Iterator[Found]:
    """Lossless zstd of float16, and zfp at each aim."""
    yield from _zstd(tensors)
    yield from _zfp(tensors, aims)


def signal_of(values: Array) -> float:
    """Squared distance from each channel's median, massive entries left out: they would hide any error."""
    away = values - np.median(values, axis=0)
    bulk = np.abs(away) <= _MASSIVE * max(float(np.median(np.abs(away))), 1e-30)
    return float(np.square(away[bulk], dtype=np.float64).sum())


def speeds(
    tensors: Sequence[Tensor], aims: Sequence[float], rounds: int
) -> Iterator[tuple[str, float | None, float, float, float]]:
    """Coder, aim, bits an element, GB/s of float32 to encode and to decode: zstd of float16, and zfp at each aim."""
    arrays = [np.ascontiguousarray(tensor.float().numpy()) for tensor in tensors]
    elements, size = sum(array.size for array in arrays), sum(array.nbytes for array in arrays) / 1e9
    for coder, aim, encode, decode in _coders(arrays, aims):
        coded = [encode(array) for array in arrays]
        encoding = seconds(lambda: [encode(array) for array in arrays], rounds)  # noqa: B023 - called at once
        decoding = seconds(lambda: [decode(some) for some in coded], rounds)  # noqa: B023
        yield coder, aim, 8 * sum(map(len, coded)) / elements, size / encoding, size / decoding


def _coders(arrays: Sequence[Array], aims: Sequence[float]) -> Iterator[tuple[str, float | None, Coder, Coder]]:
    """What is installed of zstd and zfp: how each encodes and decodes."""
    with suppress(ImportError):
        import zstandard

        coder = zstandard.ZstdCompressor(level=9)
        decoder = zstandard.ZstdDecompressor()
        yield (
            "zstd of float16",
            None,
            lambda array: coder.compress(array.astype(np.float16).tobytes()),
            lambda data: np.frombuffer(decoder.decompress(data), np.float16).astype(np.float32),
        )
    with suppress(ImportError):
        import zfpy

        for aim in aims:
            allowed = [10 ** (-aim / 10) * signal_of(array) for array in arrays]
            exponent = min(_zfp_at(zfpy, array, most)[2] for array, most in zip(arrays, allowed, strict=True))
            tolerance = 2.0**exponent
            yield "zfp", aim, partial(zfpy.compress_numpy, tolerance=tolerance), zfpy.decompress_numpy


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
        signal += signal_of(tensor.float().numpy())
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
            signal = signal_of(values)
            coded, error, _ = _zfp_at(zfpy, values, signal * 10 ** (-aim / 10))
            bits += 8 * len(coded)
            elements += values.size
            ratios.append(error / signal)
        snr = float(-10 * np.log10(np.mean(ratios)))
        yield "zfp", aim, snr, bits / elements, bits / elements, 0.0, 1


def _zfp_at(zfpy: object, values: Array, allowed: float) -> tuple[bytes, float, int]:
    """The shortest of its bytes that leave no more error, what they leave, and the exponent of their tolerance."""
    best = (b"", 0.0, 0)
    for exponent in range(8, -24, -1):
        coded = zfpy.compress_numpy(values, tolerance=2.0**exponent)  # type: ignore[attr-defined]
        found = zfpy.decompress_numpy(coded)  # type: ignore[attr-defined]
        error = float(np.square(found - values, dtype=np.float64).sum())
        best = (coded, error, exponent)
        if error <= allowed:
            break
    return best
