"""The decoded features as a read-only Zarr store, whose chunks are the records as they are stored."""

from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import zarr
from zarr.abc.store import ByteRequest, Store

from lamofc_store.errors import ReadOnly
from lamofc_store.reading import RecordLocations, fetch_records
from lamofc_store.sample import layout
from lamofc_store.storage import zarr_metadata
from lamofc_store.zarr_view.record_coder import NAME, shown_dtype

if TYPE_CHECKING:
    import pyarrow as pa
    from zarr.core.buffer import Buffer, BufferPrototype

    from lamofc_store.session import Session

_OTHER_NODES = ("lengths", "sample_ids", "zarr.json")
"""Names at the root of the view that are not features."""


def group(store: "Session") -> zarr.Group:
    """Open all features of a snapshot as arrays, one entry a sample along the first axis, samples sorted by id.

    Shorter samples, and samples without the feature, are padded with NaN (whole numbers: 0). `lengths/FEATURE` holds
    the number of tokens of each sample, -1 for a sample without the feature; `sample_ids` holds the ids, separated by
    line feeds. A feature with one of these names has its first character percent-encoded. Types that NumPy lacks become
    float32, or complex64.
    """
    return zarr.open_group(DecodedStore(store), mode="r", zarr_format=3)


def node_name(feature: str) -> str:
    """Name the Zarr node of a feature: `/` and the first character of a reserved name are percent-encoded."""
    name = quote(feature, safe="._-+=,@ ")
    if set(feature) == {"."}:
        return name.replace(".", "%2E")
    reserved = name.startswith("__") or name in _OTHER_NODES
    return f"%{ord(name[0]):02X}{name[1:]}" if reserved else name


class DecodedStore(Store):
    """A Zarr store that reads from the catalog and the segments; the codec decodes."""

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, store: "Session") -> None:
        super().__init__(read_only=True)
        self._store = store
        self.samples: list[str] = store.find("true")
        self._arrays = {node_name(feature): _Array(store, feature, self.samples) for feature in store.features}
        self._fixed = {
            "zarr.json": zarr_metadata.group(),
            "lengths/zarr.json": zarr_metadata.group(),
        }
        for name, array in self._arrays.items():
            self._fixed[f"{name}/zarr.json"] = array.metadata(store.url, name)
            self._fixed |= _plain(f"lengths/{name}", array.tokens, "sample")
        self._fixed |= _plain(
            "sample_ids", np.frombuffer("\n".join(self.samples).encode() or b"\n", np.uint8), "sample_ids byte"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DecodedStore) and (self._store.url, self._store.head) == (
            other._store.url,
            other._store.head,
        )

    def __hash__(self) -> int:
        return hash((self._store.url, self._store.head))

    async def get(
        self, key: str, prototype: "BufferPrototype", byte_range: ByteRequest | None = None
    ) -> "Buffer | None":
        """Return an object's bytes; None if there is no such object."""
        import asyncio

        data = self._fixed.get(key)
        if data is None:
            data = await asyncio.to_thread(self._record, key)
        if data is None:
            return None
        return prototype.buffer.from_bytes(_part(data, byte_range))

    def _record(self, key: str) -> bytes | None:
        name, separator, number = key.partition("/c/")
        array = self._arrays.get(name)
        return array.record(int(number.split("/")[0])) if separator and array is not None else None

    async def get_partial_values(
        self, prototype: "BufferPrototype", key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> "list[Buffer | None]":
        """Return parts of several objects."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        """Return whether there is such an object."""
        name, separator, number = key.partition("/c/")
        array = self._arrays.get(name)
        return key in self._fixed or bool(separator and array is not None and array.has(int(number.split("/")[0])))

    async def set(self, key: str, value: "Buffer") -> None:
        """Raise ReadOnly: the view is for reading."""
        raise ReadOnly(f"{key}: the decoded view is for reading", "lamofc ingest takes features in")

    async def delete(self, key: str) -> None:
        """Raise ReadOnly: the view is for reading."""
        raise ReadOnly(f"{key}: the decoded view is for reading", "lamofc forget takes samples out")

    async def list(self) -> AsyncIterator[str]:
        """Yield the keys of all objects."""
        for key in self._fixed:
            yield key
        for name, array in self._arrays.items():
            for index in range(len(self.samples)):
                if array.has(index):
                    yield array.key(name, index)

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys of all objects that begin with a prefix."""
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly under a prefix."""
        start = f"{prefix.rstrip('/')}/" if prefix else ""
        names = {key[len(start) :].split("/")[0]: None for key in self._fixed if key.startswith(start)}
        for name in names:
            yield name


class _Array:
    """One feature over all samples."""

    def __init__(self, store: "Session", feature: str, samples: Iterable[str]) -> None:
        fields = ("segment", "offset", "length", "shape", "dtype", "pattern", "profile", "item")
        rows: pa.Table = store.catalog.select([feature], fields=fields)
        self._storage, self._profile_by_id = store.storage, store.profiles
        self._places, self._items = RecordLocations.from_rows(rows), rows["item"].to_numpy()
        self._profile: list[str] = rows["profile"].to_pylist()
        self._feature = feature
        at = {sample: row for row, sample in enumerate(rows["sample"].to_pylist())}
        self._row = np.array([at.get(sample, -1) for sample in samples], np.int64)
        shapes: list[list[int]] = rows["shape"].to_pylist()
        patterns: list[str] = rows["pattern"].to_pylist()
        self._dtype = _common_dtype(set(rows["dtype"].to_pylist()))
        self._profiles = sorted(set(rows["profile"].to_pylist()) - {""})
        counts = [layout.tokens_of(shape, pattern) for shape, pattern in zip(shapes, patterns, strict=True)]
        self.tokens = np.array([counts[row] if row >= 0 else -1 for row in self._row], np.int64)
        self._shape, self._pattern = _shared(shapes, patterns, counts)

    def has(self, index: int) -> bool:
        """Return whether a sample has the feature."""
        return 0 <= index < len(self._row) and self._row[index] >= 0

    def record(self, index: int) -> bytes | None:
        """Return a sample's record as it is stored; a record of several samples is reduced to this one."""
        from lamofc_codecs import inspect, keep

        if not self.has(index):
            return None
        row = int(self._row[index])
        data = bytes(fetch_records(self._storage, self._places.take([row])).buffer.data)
        return (
            keep(data, self._profile_by_id[self._profile[row]], [int(self._items[row])])
            if inspect(data).items > 1
            else data
        )

    def key(self, name: str, index: int) -> str:
        """Return the key of the object that holds a sample's chunk."""
        return f"{name}/c/{'/'.join(str(part) for part in (index, *[0] * len(self._shape)))}"

    def metadata(self, url: str, name: str) -> bytes:
        """Write the array's `zarr.json`."""
        fill: Any = (
            "NaN" if self._dtype.startswith("float") else ["NaN", "NaN"] if self._dtype.startswith("complex") else 0
        )
        shape = (len(self._row), *self._shape)
        settings = {"store": url, "profiles": self._profiles, "pattern": self._pattern, "feature": self._feature}
        codec = {"name": NAME, "configuration": settings}
        chunk = [1, *(max(1, length) for length in self._shape)]
        axes = ["sample", *(f"{name}[{axis}]" for axis in range(len(self._shape)))]
        return zarr_metadata.array_document(
            shape, self._dtype, chunk, [codec], fill=False if self._dtype == "bool" else fill, axes=axes
        )


def _shared(shapes: list[list[int]], patterns: list[str], counts: list[int]) -> tuple[tuple[int, ...], str]:
    """Return the largest shape and the pattern of a feature; tokens x channels if samples differ in several axes."""
    ranks = {(len(shape), pattern) for shape, pattern in zip(shapes, patterns, strict=True)}
    if len(ranks) == 1:
        columns = list(zip(*shapes, strict=True))
        varying = [axis for axis, lengths in enumerate(columns) if len(set(lengths)) > 1]
        largest = tuple(max(lengths) for lengths in columns)
        if len(varying) <= 1 and 0 not in largest:
            return largest, patterns[0]
    channels = max(layout.channels_of(shape, pattern) for shape, pattern in zip(shapes, patterns, strict=True))
    return (max(counts), channels), "t c -> t c"


def _common_dtype(dtypes: set[str]) -> str:
    shown = {shown_dtype(dtype) for dtype in dtypes}
    return shown.pop() if len(shown) == 1 else str(np.result_type(*sorted(shown)))


def _plain(name: str, values: "np.ndarray[Any, Any]", axis: str) -> dict[str, bytes]:
    text = zarr_metadata.array(len(values), str(values.dtype), [axis])
    return {
        f"{name}/zarr.json": text,
        f"{name}/c/0": zarr_metadata.append_crc(values.astype(values.dtype.newbyteorder("<")).tobytes()),
    }


def _part(data: bytes, byte_range: ByteRequest | None) -> bytes:
    if byte_range is None:
        return data
    start, end, suffix = (
        getattr(byte_range, "start", None),
        getattr(byte_range, "end", None),
        getattr(byte_range, "suffix", None),
    )
    if suffix is not None:
        return data[-suffix:]
    return data[getattr(byte_range, "offset", start or 0) : end]
