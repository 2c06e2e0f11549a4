"""From rows to tensors: records fetched together, decoded together, each in its own shape again."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamofc_store import layout
from lamofc_store.errors import CorruptStore
from lamofc_store.fetch import fetch
from lamofc_store.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

    from lamofc_codecs import Profile

PLACE = ("segment", "offset", "length")
SHAPE = ("shape", "pattern", "profile")


def read(storage: Storage, profiles: Mapping[str, "Profile"], rows: "pa.Table") -> list["torch.Tensor"]:
    """The features that those record rows name, in the rows' order."""
    from lamofc_codecs import CodecError, decode

    if rows.num_rows == 0:
        return []
    segments: list[str] = rows["segment"].to_pylist()
    packed = fetch(storage, segments, _int64(rows["offset"]), _int64(rows["length"]))
    wanted = {identity: profiles[identity] for identity in set(rows["profile"].to_pylist()) if identity}
    try:
        tensors = decode(packed, wanted.values())
    except CodecError as error:
        raise CorruptStore(
            f"records of {sorted(set(segments))[0]} do not decode: {error}", "lamofc verify names all that is damaged"
        ) from error
    shapes = rows["shape"].to_pylist()
    patterns: Sequence[Any] = rows["pattern"].to_pylist()
    return [
        layout.restore(tensor, pattern, shape) for tensor, pattern, shape in zip(tensors, patterns, shapes, strict=True)
    ]


def _int64(column: "pa.ChunkedArray") -> "np.ndarray[Any, np.dtype[np.int64]]":
    return np.asarray(column.to_numpy(), dtype=np.int64)
