"""The coding of one array as one record, which the codecs of Zarr and of numcodecs share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lamofc_store.errors import BadArgument
from lamofc_store.sample import layout

if TYPE_CHECKING:
    from lamofc_codecs import Profile

Array = np.ndarray[Any, Any]
NAME = "lamofc.record"
_NUMPY_DTYPES = {
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
}


@lru_cache(maxsize=64)
def _profile(store: str, identity: str) -> Any:
    """Load a profile of a store, once in a process."""
    from lamofc_store.commits import Profiles
    from lamofc_store.storage import open_storage

    return Profiles(open_storage(store))[identity]


@dataclass(frozen=True, slots=True)
class RecordCoder:
    """All that decoding needs beside a record's bytes: the place of its profile, and the layout of the array."""

    store: str = ""
    """The store that holds the profiles; empty where none is needed."""
    profiles: tuple[str, ...] = ()
    """Ids of the profiles that records may name; the first is the one to encode with."""
    pattern: str = ""
    """Pattern from an item's own shape to tokens x channels; empty for the default of its shape."""
    feature: str = ""
    """The feature to take from records that hold several."""

    def decode(self, record: bytes, shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
        """Decode the array in a record; missing tokens up to `shape` are NaN, or 0 for whole numbers."""
        import torch

        from lamofc_codecs import decode

        profiles = [_profile(self.store, identity) for identity in self.profiles]
        tokens = decode([record], profiles, parts=[self._part(record, profiles)])[0]
        own_dtype = str(tokens.dtype).removeprefix("torch.")
        if shown_dtype(own_dtype) != own_dtype:
            tokens = tokens.to(getattr(torch, shown_dtype(own_dtype)))
        pattern = self.pattern or layout.default_pattern(shape)
        own = own_shape(tuple(shape), pattern, tokens.shape[0])
        values = layout.from_tokens(tokens, pattern, own).numpy().astype(dtype, copy=False)
        if own == tuple(shape):
            return values
        out = np.full(shape, np.nan if dtype.kind in "fc" else 0, dtype)
        out[tuple(slice(0, length) for length in own)] = values
        return out

    def _part(self, record: bytes, profiles: "list[Profile]") -> int:
        """Return the number of the record's part that holds the feature."""
        from lamofc_codecs import inspect

        header = inspect(record)
        if header.parts == 1:
            return 0
        listed = next(
            (profile.config.get("parts") or [] for profile in profiles if profile.id.startswith(header.profile)), []
        )
        names = [name for name, _ in listed]
        if self.feature not in names:
            raise BadArgument(
                f"the record holds {', '.join(names) or 'features of an unknown profile'}, not {self.feature!r}",
                "name one of them as `feature`",
            )
        return names.index(self.feature)

    def encode(self, array: Array) -> bytes:
        """Encode an array to a record; lossless if no profile is named."""
        import torch

        from lamofc_codecs import LOSSLESS, encode, fit

        profile = _profile(self.store, self.profiles[0]) if self.profiles else fit(LOSSLESS, [])
        pattern = self.pattern or layout.default_pattern(array.shape)
        tokens = layout.to_tokens(torch.from_numpy(np.ascontiguousarray(array)), pattern)
        return bytes(encode([tokens], profile, planes=[layout.planes_of(array.shape, pattern)])[0].data)


def shown_dtype(dtype: str) -> str:
    """Name the NumPy dtype in which values of a torch dtype are shown: their own where NumPy has it."""
    if dtype in _NUMPY_DTYPES:
        return dtype
    return "complex64" if dtype == "complex32" else "float32"


def own_shape(largest: tuple[int, ...], pattern: str, tokens: int) -> tuple[int, ...]:
    """Compute an item's shape from the largest shape of its feature, from which at most one axis differs."""
    if layout.tokens_of(largest, pattern) == tokens:
        return largest
    for axis, length in enumerate(largest):
        single = (*largest[:axis], 1, *largest[axis + 1 :])
        unit = layout.tokens_of(single, pattern)
        counted = unit and layout.tokens_of((*largest[:axis], 2, *largest[axis + 1 :]), pattern) != unit
        if counted and tokens % unit == 0 and tokens // unit <= length:
            return (*largest[:axis], tokens // unit, *largest[axis + 1 :])
    raise BadArgument(
        f"{tokens} tokens fit no part of {largest} by {pattern!r}", "read the sample through store[sample, feature]"
    )
