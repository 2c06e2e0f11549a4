"""External coders: number formats, general compressors, error-bounded compressors, product quantisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.comparison.bulk_snr import bulk_noise, bulk_signal, fit_bulk

Array = NDArray[np.float32]
_LARGEST_HALF = 65504
"""Largest finite float16."""
_DEFAULT_TARGET_DB = 20.0
_BOUND_QUARTERS = 96
"""Largest exponent of an error bound, in quarters of a power of two."""


class Peer:
    """A coder that needs no samples, or learns from them in `__init__`. Each defines the meaning of its target."""

    profile_bytes = 0
    aims: tuple[float | None, ...] = (None,)
    """Targets to measure at by default; None for a coder of one rate."""

    def __init__(self, train: Sequence[Tensor], aim: float | None) -> None:
        self.aim = aim

    def encode(self, tensor: Tensor) -> bytes:
        """Encode to all bytes, without the shape."""
        return self.pack(tensor.to(torch.float32).numpy())

    def decode(self, data: bytes, like: Tensor) -> Tensor:
        """Decode to a tensor."""
        return torch.from_numpy(np.array(self.unpack(data, tuple(like.shape)))).to(like.dtype)

    def payload(self, data: bytes) -> int:
        """Count all bits."""
        return 8 * len(data)

    def framing(self, data: bytes) -> int:
        """Return 0: headers are not counted apart."""
        return 0

    def falls_back(self, data: bytes) -> bool:
        """Return False: no external coder is replaced by another."""
        return False

    def quantised(self, tensor: Tensor) -> Tensor | None:
        """Return None: quantisation is the only step that loses."""
        return None

    def pack(self, values: Array) -> bytes:
        """Encode an array."""
        raise NotImplementedError

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Decode to an array."""
        raise NotImplementedError


class Float16(Peer):
    """Raw float16."""

    def pack(self, values: Array) -> bytes:
        """Round to float16."""
        return values.clip(-_LARGEST_HALF, _LARGEST_HALF).astype(np.float16).tobytes()

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Convert to float32."""
        return np.frombuffer(data, np.float16).reshape(shape).astype(np.float32)


class Int8(Peer):
    """Signed bytes and one float32 scale, from the largest magnitude of the tensor."""

    axis: int | None = None

    def pack(self, values: Array) -> bytes:
        """Write scales, then bytes."""
        scale = np.maximum(np.abs(values).max(axis=self.axis, initial=0), 1e-30).astype(np.float32) / np.float32(127)
        return bytes(scale.tobytes() + np.rint(values / scale).astype(np.int8).tobytes())

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Multiply bytes by scales."""
        scales = 1 if self.axis is None else shape[1]
        scale = np.frombuffer(data[: 4 * scales], np.float32)
        values: Array = np.frombuffer(data[4 * scales :], np.int8).reshape(shape).astype(np.float32) * scale
        return values


class Int8Channel(Int8):
    """Signed bytes and a float32 scale for each channel."""

    axis = 0


class CompressedHalf(Float16):
    """Float16, then a lossless compressor."""

    def pack(self, values: Array) -> bytes:
        """Round to float16 and compress."""
        compress, _ = self.compressor()
        return compress(values.clip(-_LARGEST_HALF, _LARGEST_HALF).astype(np.float16))

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Decompress, and convert to float32."""
        _, decompress = self.compressor()
        return np.frombuffer(decompress(data), np.float16).reshape(shape).astype(np.float32)

    def compressor(self) -> tuple[Callable[[NDArray[np.float16]], bytes], Callable[[bytes], bytes]]:
        """Return the functions that compress and decompress."""
        raise NotImplementedError


class Zstd(CompressedHalf):
    """zstd, level 9, of float16."""

    def compressor(self) -> tuple[Callable[[NDArray[np.float16]], bytes], Callable[[bytes], bytes]]:
        """Use the package zstandard."""
        zstd = _package("zstandard")
        return (lambda x: zstd.ZstdCompressor(level=9).compress(x.tobytes())), zstd.ZstdDecompressor().decompress


class Blosc(CompressedHalf):
    """Blosc with bit shuffle and zstd, level 9, of float16."""

    def compressor(self) -> tuple[Callable[[NDArray[np.float16]], bytes], Callable[[bytes], bytes]]:
        """Use the package numcodecs."""
        coder = _package("numcodecs.blosc").Blosc(cname="zstd", clevel=9, shuffle=2)
        return (lambda x: bytes(coder.encode(np.ascontiguousarray(x)))), (lambda data: bytes(coder.decode(data)))


class Pcodec(CompressedHalf):
    """pcodec of float16."""

    def compressor(self) -> tuple[Callable[[NDArray[np.float16]], bytes], Callable[[bytes], bytes]]:
        """Use the package pcodec."""
        pcodec = _package("pcodec")
        standalone = pcodec.standalone
        return (
            lambda x: standalone.simple_compress(x.ravel(), pcodec.ChunkConfig()),
            lambda data: standalone.simple_decompress(data).tobytes(),
        )


class Bounded(Peer):
    """An error-bounded coder, with the largest bound (in quarters of a power of two) that reaches the target in dB."""

    aims = (10.0, 20.0, 30.0)

    def __init__(self, train: Sequence[Tensor], aim: float | None) -> None:
        super().__init__(train, aim)
        self._bulk = fit_bulk(train)

    def pack(self, values: Array) -> bytes:
        """Encode at the bound of the target."""
        return self.bounded(values, self.bound_for(values))

    def bound_for(self, values: Array) -> float:
        """Find the bound by bisection."""
        x = np.ascontiguousarray(values)
        allowed = bulk_signal(x, self._bulk) * 10 ** (-(self.aim or _DEFAULT_TARGET_DB) / 10)
        low, high = -_BOUND_QUARTERS, _BOUND_QUARTERS
        while high - low > 1:
            middle = (low + high) // 2
            decoded = self.unpack(self.bounded(values, 2.0 ** (middle / 4)), values.shape)
            if bulk_noise(x, np.ascontiguousarray(decoded), self._bulk) <= allowed:
                low = middle
            else:
                high = middle
        return float(2.0 ** (low / 4))

    def bounded(self, values: Array, bound: float) -> bytes:
        """Encode so that no entry has a larger error."""
        raise NotImplementedError


class Zfp(Bounded):
    """zfp with fixed accuracy, in two dimensions."""

    def bounded(self, values: Array, bound: float) -> bytes:
        """Use the package zfpy."""
        return bytes(_package("zfpy").compress_numpy(values, tolerance=bound))

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Decode; the header of zfp holds the shape."""
        values: Array = _package("zfpy").decompress_numpy(data)
        return values


class Sz3(Bounded):
    """SZ3 with interpolation and an absolute bound."""

    def bounded(self, values: Array, bound: float) -> bytes:
        """Use the package pysz."""
        pysz = _package("pysz")
        config = pysz.szConfig(values.shape)
        config.errorBoundMode = pysz.szErrorBoundMode.ABS
        config.absErrorBound = bound
        data, _ = pysz.sz.compress(np.ascontiguousarray(values), config)
        return bytes(data)

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Decode to the given shape."""
        pysz = _package("pysz")
        values, _ = pysz.sz.decompress(np.frombuffer(data, np.uint8), np.float32, shape)
        return np.asarray(values, np.float32).reshape(shape)


class Pq(Peer):
    """Product quantisation of tokens by FAISS: one byte for several channels, with codebooks fitted to the samples."""

    aims = (2.0, 4.0, 8.0)

    def __init__(self, train: Sequence[Tensor], aim: float | None) -> None:
        super().__init__(train, aim)
        faiss = _package("faiss")
        tokens = np.concatenate([tensor.to(torch.float32).numpy() for tensor in train])
        channels = tokens.shape[1]
        width = int(aim or 4)
        if channels % width or len(tokens) < 256:
            raise BadArgument(
                f"pq of {width} channels a byte on {len(tokens)} tokens of {channels}", "leave the peer pq out"
            )
        self._coder = faiss.ProductQuantizer(channels, channels // width, 8)
        self._coder.train(np.ascontiguousarray(tokens[:65_536]))
        self._bytes = channels // width
        self.profile_bytes = 4 * 256 * channels

    def pack(self, values: Array) -> bytes:
        """Find the nearest codes."""
        return bytes(self._coder.compute_codes(np.ascontiguousarray(values)).tobytes())

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Look up the centroids of the codes."""
        values: Array = self._coder.decode(np.frombuffer(data, np.uint8).reshape(-1, self._bytes))
        return values


PEERS: dict[str, type[Peer]] = {
    "float16": Float16,
    "int8-tensor": Int8,
    "int8-channel": Int8Channel,
    "zstd": Zstd,
    "blosc": Blosc,
    "pcodec": Pcodec,
    "zfp": Zfp,
    "sz3": Sz3,
    "pq": Pq,
}


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise BadArgument(f"a peer needs {name}: {error}", "pip install 'lamofc-store[bench]'") from error
