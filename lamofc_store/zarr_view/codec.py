"""The codec `lamofc.record` for Zarr v3 and for numcodecs: both decode with the same code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numcodecs.abc
import numpy as np
from zarr.abc.codec import ArrayBytesCodec

from lamofc_store.errors import BadArgument
from lamofc_store.zarr_view.record_coder import NAME, RecordCoder

if TYPE_CHECKING:  # not public in zarr: named for type checkers alone
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer


_SETTINGS = ("store", "profiles", "pattern", "feature")


@dataclass(frozen=True)
class RecordCodec(ArrayBytesCodec):
    """The codec of Zarr v3. A chunk is one record; its array has a leading axis of length 1 for the sample."""

    is_fixed_size = False

    store: str = ""
    profiles: tuple[str, ...] = ()
    pattern: str = ""
    feature: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "RecordCodec":
        """Make the codec from its entry in an array's metadata."""
        settings = dict(data.get("configuration", {}))
        unknown = sorted(set(settings) - set(_SETTINGS))
        if data.get("name") != NAME or unknown:
            raise BadArgument(f"{data!r} is no configuration of {NAME}", f"it takes {', '.join(_SETTINGS)}")
        named = {name: str(settings.get(name, "")) for name in _SETTINGS if name != "profiles"}
        return cls(profiles=tuple(settings.get("profiles", ())), **named)

    def to_dict(self) -> dict[str, Any]:
        """Return the codec's entry in an array's metadata."""
        return {
            "name": NAME,
            "configuration": {
                "store": self.store,
                "profiles": list(self.profiles),
                "pattern": self.pattern,
                "feature": self.feature,
            },
        }

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: "ArraySpec") -> int:
        """Raise NotImplementedError: the size of a record is unknown before it is encoded."""
        raise NotImplementedError(f"{NAME} does not know a record's size beforehand")

    def _decode_sync(self, chunk_bytes: "Buffer", chunk_spec: "ArraySpec") -> "NDBuffer":
        dtype = np.dtype(chunk_spec.dtype.to_native_dtype())
        values = self._coder.decode(chunk_bytes.to_bytes(), chunk_spec.shape[1:], dtype)
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(values[None])

    def _encode_sync(self, chunk_array: "NDBuffer", chunk_spec: "ArraySpec") -> "Buffer":
        record = self._coder.encode(np.asarray(chunk_array.as_numpy_array())[0])
        return chunk_spec.prototype.buffer.from_bytes(record)

    async def _decode_single(self, chunk_data: "Buffer", chunk_spec: "ArraySpec") -> "NDBuffer":
        return self._decode_sync(chunk_data, chunk_spec)

    async def _encode_single(self, chunk_data: "NDBuffer", chunk_spec: "ArraySpec") -> "Buffer":
        return self._encode_sync(chunk_data, chunk_spec)

    @property
    def _coder(self) -> RecordCoder:
        return RecordCoder(self.store, self.profiles, self.pattern, self.feature)


class NumcodecsRecord(numcodecs.abc.Codec):  # type: ignore[misc]
    """The codec of numcodecs: a buffer of known shape and dtype to one record and back."""

    codec_id = NAME

    def __init__(
        self,
        shape: list[int],
        dtype: str,
        store: str = "",
        profiles: list[str] | None = None,
        pattern: str = "",
        feature: str = "",
    ) -> None:
        self.shape = list(shape)
        self.dtype = dtype
        self.store = store
        self.profiles = list(profiles or [])
        self.pattern = pattern
        self.feature = feature

    def encode(self, buf: Any) -> bytes:
        """Encode the buffer's content to a record."""
        return self._coder.encode(np.frombuffer(memoryview(buf).cast("B"), self.dtype).reshape(self.shape))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode a record, into `out` if it is given."""
        values = np.ascontiguousarray(self._coder.decode(bytes(buf), self.shape, np.dtype(self.dtype)))
        if out is None:
            return values
        np.frombuffer(memoryview(out).cast("B"), self.dtype).reshape(self.shape)[...] = values
        return out

    @property
    def _coder(self) -> RecordCoder:
        return RecordCoder(self.store, tuple(self.profiles), self.pattern, self.feature)
