"""Coders of others: number formats, general compressors, error-bounded ones, product quantisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.comparison.bulk_snr import Bulk

Array = NDArray[np.float32]


class Peer:
    """A coder that needs no samples, or learns from them in `__init__`; what an aim is, each knows."""

    profile_bytes = 0
    aims: tuple[float | None, ...] = (None,)
    """What is tried where no quality tells; None for a coder of one rate."""

    def __init__(self, train: Sequence[Tensor], aim: float | None) -> None:
        self.aim = aim

    def encode(self, tensor: Tensor) -> bytes:
        """All bytes, the shape left out."""
        return self.pack(tensor.to(torch.float32).numpy())

    def decode(self, data: bytes, like: Tensor) -> Tensor:
        """The tensor again."""
        return torch.from_numpy(np.array(self.unpack(data, tuple(like.shape)))).to(like.dtype)

    def payload(self, data: bytes) -> int:
        """All bits."""
        return 8 * len(data)

    def framing(self, data: bytes) -> int:
        """Not told apart."""
        return 0

    def quantised(self, tensor: Tensor) -> Tensor | None:
        """Nothing comes after it."""
        return None

    def pack(self, values: Array) -> bytes:
        """From an array to bytes."""
        raise NotImplementedError

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """And back."""
        raise NotImplementedError


class Float16(Peer):
    """Raw float16."""

    def pack(self, values: Array) -> bytes:
        """Rounded."""
        return values.clip(-65504, 65504).astype(np.float16).tobytes()

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """As float32."""
        return np.frombuffer(data, np.float16).reshape(shape).astype(np.float32)


class Int8(Peer):
    """Signed bytes and one float32 scale, by the largest magnitude of the tensor."""

    axis: int | None = None

    def pack(self, values: Array) -> bytes:
        """Scales, then bytes."""
        scale = np.maximum(np.abs(values).max(axis=self.axis, initial=0), 1e-30).astype(np.float32) / np.float32(127)
        return bytes(scale.tobytes() + np.rint(values / scale).astype(np.int8).tobytes())

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Bytes times scales."""
        scales = 1 if self.axis is None else shape[1]
        scale = np.frombuffer(data[: 4 * scales], np.float32)
        found: Array = np.frombuffer(data[4 * scales :], np.int8).reshape(shape).astype(np.float32) * scale
        return found


class Int8Channel(Int8):
    """The same with a scale for each channel."""

    axis = 0


class Packed(Float16):
    """Float16, then a lossless compressor."""

    def pack(self, values: Array) -> bytes:
        """Compressed."""
        squeeze, _ = self.compressor()
        return squeeze(values.clip(-65504, 65504).astype(np.float16))

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """As float32."""
        _, expand = self.compressor()
        return np.frombuffer(expand(data), np.float16).reshape(shape).astype(np.float32)

    def compressor(self) -> tuple[Callable[[NDArray[np.float16]], bytes], Callable[[bytes], bytes]]:
        """Both directions."""
        raise NotImplementedError


class Zstd(Packed):
    """zstd, level 9, of float16."""

    def compressor(self) -> tuple[Callable[[NDArray[np.float16]], bytes], Callable[[bytes], bytes]]:
        """Of the package zstandard."""
        zstd = _package("zstandard")
        return (lambda x: zstd.ZstdCompressor(level=9).compress(x.tobytes())), zstd.ZstdDecompressor().decompress


class Blosc(Packed):
    """Blosc with bit shuffle and zstd, level 9, of float16."""

    def compressor(self) -> tuple[Callable[[NDArray[np.float16]], bytes], Callable[[bytes], bytes]]:
        """Of the package numcodecs."""
        coder = _package("numcodecs.blosc").Blosc(cname="zstd", clevel=9, shuffle=2)
        return (lambda x: bytes(coder.encode(np.ascontiguousarray(x)))), (lambda data: bytes(coder.decode(data)))


class Pcodec(Packed):
    """pcodec of float16."""

    def compressor(self) -> tuple[Callable[[NDArray[np.float16]], bytes], Callable[[bytes], bytes]]:
        """Of the package pcodec."""
        pcodec = _package("pcodec")
        alone = pcodec.standalone
        return (
            lambda x: alone.simple_compress(x.ravel(), pcodec.ChunkConfig()),
            lambda data: alone.simple_decompress(data).tobytes(),
        )


class Bounded(Peer):
    """A coder with a bound on errors: the largest, in quarters of a power of two, that reaches the aim in dB."""

    aims = (10.0, 20.0, 30.0)

    def __init__(self, train: Sequence[Tensor], aim: float | None) -> None:
        super().__init__(train, aim)
        self._bulk = Bulk.of(train)

    def pack(self, values: Array) -> bytes:
        """At that bound."""
        return self.bounded(values, self.bound_for(values))

    def bound_for(self, values: Array) -> float:
        """Search by halving."""
        x = values.astype(np.float64)
        wanted = self._bulk.signal(x) * 10 ** (-(self.aim or 20.0) / 10)
        low, high = -96, 96
        while high - low > 1:
            middle = (low + high) // 2
            decoded = self.unpack(self.bounded(values, 2.0 ** (middle / 4)), values.shape)
            if self._bulk.noise(x, decoded.astype(np.float64)) <= wanted:
                low = middle
            else:
                high = middle
        return float(2.0 ** (low / 4))

    def bounded(self, values: Array, bound: float) -> bytes:
        """No entry is off by more."""
        raise NotImplementedError


class Zfp(Bounded):
    """zfp, fixed accuracy, in two dimensions."""

    def bounded(self, values: Array, bound: float) -> bytes:
        """Of the package zfpy."""
        return bytes(_package("zfpy").compress_numpy(values, tolerance=bound))

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Its own header tells the shape."""
        found: Array = _package("zfpy").decompress_numpy(data)
        return found


class Sz3(Bounded):
    """SZ3, interpolation, absolute bound."""

    def bounded(self, values: Array, bound: float) -> bytes:
        """Of the package pysz."""
        pysz = _package("pysz")
        config = pysz.szConfig(values.shape)
        config.errorBoundMode = pysz.szErrorBoundMode.ABS
        config.absErrorBound = bound
        data, _ = pysz.sz.compress(np.ascontiguousarray(values), config)
        return bytes(data)

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Needs the shape."""
        pysz = _package("pysz")
        found, _ = pysz.sz.decompress(np.frombuffer(data, np.uint8), np.float32, shape)
        return np.asarray(found, np.float32).reshape(shape)


class Pq(Peer):
    """Product quantisation of tokens by FAISS: bytes for every so many channels, codebooks from the samples."""

    aims = (2.0, 4.0, 8.0)

    def __init__(self, train: Sequence[Tensor], aim: float | None) -> None:
        super().__init__(train, aim)
        faiss = _package("faiss")
        tokens = np.concatenate([tensor.to(torch.float32).numpy() for tensor in train])
        channels = tokens.shape[1]
        wide = int(aim or 4)
        if channels % wide or len(tokens) < 256:
            raise BadArgument(
                f"pq of {wide} channels a byte on {len(tokens)} tokens of {channels}", "leave the peer pq out"
            )
        self._coder = faiss.ProductQuantizer(channels, channels // wide, 8)
        self._coder.train(np.ascontiguousarray(tokens[:65_536]))
        self._bytes = channels // wide
        self.profile_bytes = 4 * 256 * channels

    def pack(self, values: Array) -> bytes:
        """The nearest codes."""
        return bytes(self._coder.compute_codes(np.ascontiguousarray(values)).tobytes())

    def unpack(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Codes to centroids."""
        found: Array = self._coder.decode(np.frombuffer(data, np.uint8).reshape(-1, self._bytes))
        return found


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
