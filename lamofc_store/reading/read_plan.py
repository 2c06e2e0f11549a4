"""The plan of a read: the byte range of each record, and how each tensor is restored from its record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lamofc_store.storage import paths

if TYPE_CHECKING:
    import pyarrow as pa

Numbers = np.ndarray[Any, np.dtype[np.int64]]

PLAN_COLUMNS = ("segment", "offset", "length", "shape", "pattern", "profile", "part", "item", "dtype")
"""The columns of record rows that a plan is made from."""

Cell = tuple[int, int]
"""The item and the part of a record that hold a tensor."""


@dataclass(frozen=True, slots=True)
class RecordLocations:
    """Locations of records, as parallel arrays. `segment` holds indices into `segments`."""

    segments: tuple[str, ...]
    segment: Numbers
    offset: Numbers
    length: Numbers

    @classmethod
    def from_rows(cls, rows: "pa.Table") -> "RecordLocations":
        """Take the locations out of record rows, in their order."""
        segment = _encoded(rows["segment"])
        offset, length = (np.asarray(rows[name].to_numpy(), np.int64) for name in ("offset", "length"))
        return cls(tuple(segment.dictionary.to_pylist()), segment.indices.to_numpy().astype(np.int64), offset, length)

    @classmethod
    def concatenate(cls, parts: Sequence["RecordLocations"]) -> "RecordLocations":
        """Join several lists of locations to one."""
        segments = dict.fromkeys(identity for part in parts for identity in part.segments)
        index = {identity: number for number, identity in enumerate(segments)}
        segment = [np.array([index[identity] for identity in part.segments], np.int64)[part.segment] for part in parts]
        return cls(
            tuple(segments),
            np.concatenate(segment),
            np.concatenate([part.offset for part in parts]),
            np.concatenate([part.length for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.offset)

    def take(self, indices: Sequence[int] | Numbers) -> "RecordLocations":
        """Select locations by index, in the order of the indices."""
        return RecordLocations(self.segments, self.segment[indices], self.offset[indices], self.length[indices])

    def describe(self, index: int) -> str:
        """Name one location in an error message."""
        return f"{paths.payload(self.segments[self.segment[index]])} at byte {self.offset[index]}"


class TensorSpec(NamedTuple):
    """Shape and layout of one stored tensor, and its cell in the record."""

    shape: tuple[int, ...]
    pattern: str
    profile: str
    cell: Cell
    dtype: str


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """The records to fetch, and the tensor to restore from each of them."""

    locations: RecordLocations
    specs: tuple[TensorSpec, ...]

    @classmethod
    def from_rows(cls, rows: "pa.Table") -> "ReadPlan":
        """Make the plan that reads the features of record rows, in their order; rows that are alike share one spec."""
        columns = [rows[name] for name in ("shape", "pattern", "profile", "item", "part", "dtype")]
        kind = np.zeros(rows.num_rows, np.int64)
        for column in columns:
            own = _encoded(column)
            if len(own.dictionary) > 1:
                kind = np.unique(kind * len(own.dictionary) + own.indices.to_numpy(), return_inverse=True)[1]
        _, first, kind = np.unique(kind, return_index=True, return_inverse=True)
        specs = [
            TensorSpec(tuple(shape), pattern, profile, (item, part), dtype)
            for shape, pattern, profile, item, part, dtype in zip(
                *(column.take(first).to_pylist() for column in columns), strict=True
            )
        ]
        return cls(RecordLocations.from_rows(rows), tuple(specs[number] for number in kind.tolist()))

    @classmethod
    def concatenate(cls, parts: Sequence["ReadPlan"]) -> "ReadPlan":
        """Join several plans to one."""
        locations = RecordLocations.concatenate([part.locations for part in parts])
        return cls(locations, tuple(spec for part in parts for spec in part.specs))

    @property
    def stackable(self) -> bool:
        """Whether all tensors have the same spec, and each is the first cell of its record."""
        return len(set(self.specs)) == 1 and self.specs[0].cell == (0, 0)

    def take(self, indices: Sequence[int]) -> "ReadPlan":
        """Select tensors by index, in the order of the indices."""
        return ReadPlan(self.locations.take(indices), tuple(self.specs[index] for index in indices))


def _encoded(column: "pa.ChunkedArray") -> "pa.DictionaryArray":
    """Number the values of a column without nulls, in the order in which they first appear; lists as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        column = pc.binary_join(column.cast(pa.list_(pa.string())), ",")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.combine_chunks().dictionary_encode()
