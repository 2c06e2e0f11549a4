"""Stacked tensors: the first axis of every tensor of a file counts samples, so each row is one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from lamofc_store.errors import Hint, SourceError
from lamofc_store.sample import Sample, Scalar
from lamofc_store.sources.contract import (
    ALL_FEATURES,
    Column,
    FeatureFilter,
    require_unique_ids,
    sample_id,
    spread_order,
)
from lamofc_store.sources.formats import BY_SUFFIX, TABLE

if TYPE_CHECKING:
    import torch

WITH_LABELS = ("safetensors", "npz")
"""Formats of files that may hold labels beside stacked tensors."""


@dataclass(frozen=True)
class Rows:
    """Each row of each file is one sample: tensors of two axes and more are features, those of one are attributes."""

    root: Path
    files: tuple[Path, ...]
    features: FeatureFilter = ALL_FEATURES
    id_column: str | None = None
    reiterable: bool = True
    any_thread: bool = True

    def __post_init__(self) -> None:
        require_unique_ids([sample_id(self.root, path) for path in self.files], self.files)
        _ = self.counts

    @cached_property
    def counts(self) -> list[int]:
        """The number of rows of each file. Counting opens every one, so a damaged file is found before any work."""
        return [_rows_of(open_columns(path)) for path in self.files]

    def __len__(self) -> int:
        return sum(self.counts)

    def __iter__(self) -> Iterator[Sample]:
        seen: dict[str, Path] = {}
        for path in self.files:
            columns = open_columns(path)
            for row in range(_rows_of(columns)):
                sample = self.sample(path, columns, row)
                if sample.id in seen:
                    raise SourceError(
                        f"{seen[sample.id]} and row {row} of {path} both have the id {sample.id!r}",
                        "make the ids unique",
                    )
                seen[sample.id] = path
                yield sample

    def sample_ids(self) -> Iterator[str]:
        """Yield the ids of all rows."""
        for path in self.files:
            columns = open_columns(path)
            for row in range(_rows_of(columns)):
                yield self._id(path, columns, row)

    def spread(self) -> SpreadRows:
        """Return the same rows in an order that is spread over all files."""
        return SpreadRows(self)

    def describe(self) -> str:
        """Return the number of rows, and the tensors by their use."""
        columns = open_columns(self.files[0])
        features = ", ".join(f"{key} {shape}" for key, shape in _shapes(columns).items() if key in self.features)
        attributes = ", ".join(key for key, column in columns.items() if len(column.shape) == 1) or "none"
        place = str(self.files[0]) if len(self.files) == 1 else f"{len(self.files)} files of {self.root}"
        return (
            f"{len(self)} rows of {place}, a sample each: features {features}; attributes {attributes}"
            "; another format takes each file whole"
        )

    def sample(self, path: Path, columns: Mapping[str, Column], row: int) -> Sample:
        """Read one row of a file."""
        stacked = {key: column for key, column in columns.items() if len(column.shape) > 1}
        features: dict[str, torch.Tensor] = {
            key: column.row(row) for key, column in self.features.pick(stacked, str(path)).items()
        }
        attributes: dict[str, Scalar] = {
            key: column.row(row).item()
            for key, column in columns.items()
            if key not in stacked and key != self.id_column
        }
        return Sample(self._id(path, columns, row), features, attributes)

    def _id(self, path: Path, columns: Mapping[str, Column], row: int) -> str:
        """Return the id of one row: its value in the column of ids, or the file's name and its number."""
        if self.id_column is None:
            return f"{sample_id(self.root, path)}/{row:06d}"
        names = [key for key, column in columns.items() if len(column.shape) == 1]
        if self.id_column not in names:
            raise SourceError(
                f"{path} has no tensor {self.id_column!r} of one axis; it has {', '.join(names) or 'none'}",
                "name one of those as the id column, or none to number the rows",
            )
        return str(columns[self.id_column].row(row).item())


@dataclass(frozen=True)
class SpreadRows:
    """Rows in an order whose every prefix is spread over all files."""

    rows: Rows
    reiterable: bool = True
    any_thread: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Sample]:
        ends = list(accumulate(self.rows.counts))
        opened: dict[Path, Mapping[str, Column]] = {}
        for place in spread_order(len(self)):
            file = bisect_right(ends, place)
            path = self.rows.files[file]
            if path not in opened:
                opened[path] = open_columns(path)
            yield self.rows.sample(path, opened[path], place - ends[file] + self.rows.counts[file])

    def describe(self) -> str:
        """Return the description of the rows."""
        return self.rows.describe()


def open_columns(path: Path) -> Mapping[str, Column]:
    """Open the stacked tensors of a file; SourceError unless all have the same number of rows."""
    format = BY_SUFFIX.get(path.suffix.lower())
    if format is None or format.columns is None:
        names = ", ".join(format.name for format in TABLE if format.columns is not None)
        raise SourceError(f"{path}: rows cannot be read from {path.suffix or 'a file without suffix'}", f"use {names}")
    columns = format.columns(path)
    lengths = {key: column.shape[0] if column.shape else None for key, column in columns.items()}
    if len(set(lengths.values())) != 1 or None in lengths.values():
        raise SourceError(
            f"{path}: the tensors have not one number of rows: {lengths}",
            Hint(f"stack them along a first axis of samples, or give [format] {format.name} if a file is one sample"),
        )
    return columns


def looks_stacked(path: Path) -> bool:
    """Whether a single file is read as rows where the user names no format.

    Such a file has labels (one axis of integers, booleans or text), at least two rows, and otherwise only tensors of
    three axes or more, all with the same first length. Hidden states beside token ids have two axes: one sample.
    """
    format = BY_SUFFIX.get(path.suffix.lower())
    if format is None or format.columns is None or format.name not in WITH_LABELS:
        return False
    columns = list(format.columns(path).values())
    labels = [column for column in columns if len(column.shape) == 1]
    stacked = [column for column in columns if len(column.shape) >= 3]
    return (
        bool(stacked)
        and any(column.discrete for column in labels)
        and len(labels) + len(stacked) == len(columns)
        and len({column.shape[0] for column in columns}) == 1
        and columns[0].shape[0] > 1
    )


def _rows_of(columns: Mapping[str, Column]) -> int:
    return next(iter(columns.values())).shape[0]


def _shapes(columns: Mapping[str, Column]) -> dict[str, tuple[int, ...]]:
    return {key: column.shape[1:] for key, column in columns.items() if len(column.shape) > 1}
