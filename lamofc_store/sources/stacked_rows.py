"""Stacked tensors: every tensor of a file begins with the sample axis, so each row is a sample."""

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
from lamofc_store.sources.formats import SUFFIXES
from lamofc_store.sources.readers import (
    ALL,
    Column,
    Wanted,
    numpy_files,
    only_once,
    safetensors_files,
    sample_id,
    spread_order,
)

if TYPE_CHECKING:
    import torch

COLUMNS = {
    "safetensors": safetensors_files.columns,
    "npz": numpy_files.columns,
    "npy": numpy_files.columns,
}
"""The formats whose rows can be read."""


@dataclass(frozen=True)
class Rows:
    """Each row of each file is one sample: tensors of two axes and more are features, those of one are attributes."""

    root: Path
    files: tuple[Path, ...]
    wanted: Wanted = ALL
    id_column: str | None = None
    reiterable: bool = True

    def __post_init__(self) -> None:
        only_once([sample_id(self.root, path) for path in self.files], self.files)
        _ = self.counts

    @cached_property
    def counts(self) -> list[int]:
        """Rows of each file; counting opens every one, so a damaged file is found before any work."""
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

    def spread(self) -> SpreadRows:
        """The same rows, spread over all files."""
        return SpreadRows(self)

    def describe(self) -> str:
        """How many rows, and which tensors are what."""
        columns = open_columns(self.files[0])
        features = ", ".join(f"{key} {shape}" for key, shape in _shapes(columns).items() if key in self.wanted)
        attributes = ", ".join(key for key, column in columns.items() if len(column.shape) == 1) or "none"
        what = str(self.files[0]) if len(self.files) == 1 else f"{len(self.files)} files of {self.root}"
        return (
            f"{len(self)} rows of {what}, a sample each: features {features}; attributes {attributes}"
            "; another format takes each file whole"
        )

    def sample(self, path: Path, columns: Mapping[str, Column], row: int) -> Sample:
        """One row of a file."""
        stacked = {key: column for key, column in columns.items() if len(column.shape) > 1}
        features: dict[str, torch.Tensor] = {
            key: column.row(row) for key, column in self.wanted.pick(stacked, str(path)).items()
        }
        plain = {key: column for key, column in columns.items() if key not in stacked}
        attributes: dict[str, Scalar] = {key: column.row(row).item() for key, column in plain.items()}
        if self.id_column is None:
            return Sample(f"{sample_id(self.root, path)}/{row:06d}", features, attributes)
        if self.id_column not in attributes:
            raise SourceError(
                f"{path} has no tensor {self.id_column!r} of one axis; it has {', '.join(plain) or 'none'}",
                "name one of those as the id column, or none to number the rows",
            )
        return Sample(str(attributes.pop(self.id_column)), features, attributes)


@dataclass(frozen=True)
class SpreadRows:
    """Rows in an order whose every beginning is spread over all files."""

    rows: Rows
    reiterable: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Sample]:
        ends = list(accumulate(self.rows.counts))
        opened: dict[Path, dict[str, Column]] = {}
        for place in spread_order(len(self)):
            file = bisect_right(ends, place)
            path = self.rows.files[file]
            if path not in opened:
                opened[path] = open_columns(path)
            yield self.rows.sample(path, opened[path], place - ends[file] + self.rows.counts[file])

    def describe(self) -> str:
        """What they are rows of."""
        return self.rows.describe()


def open_columns(path: Path) -> dict[str, Column]:
    """The stacked tensors of a file, checked to have one number of rows."""
    kind = SUFFIXES.get(path.suffix.lower(), "")
    if kind not in COLUMNS:
        raise SourceError(
            f"{path}: rows cannot be read from {path.suffix or 'a file without suffix'}", f"use {', '.join(COLUMNS)}"
        )
    columns = COLUMNS[kind](path)
    lengths = {key: column.shape[0] if column.shape else None for key, column in columns.items()}
    if len(set(lengths.values())) != 1 or None in lengths.values():
        raise SourceError(
            f"{path}: the tensors have not one number of rows: {lengths}",
            Hint(f"stack them along a first axis of samples, or give [format] {kind} to take the file as one sample"),
        )
    return columns


def looks_stacked(path: Path) -> bool:
    """Whether a single file is taken as rows without being asked.

    It must have labels (one axis of integers, booleans or text), two rows or more, and otherwise only tensors of
    three axes and more, all with the same first length. Hidden states beside their token ids have two: one sample.
    """
    kind = SUFFIXES.get(path.suffix.lower(), "")
    if kind not in ("safetensors", "npz"):
        return False
    columns = list(COLUMNS[kind](path).values())
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
