"""Parquet tables of embeddings: an id column, list columns as features, and other plain columns as attributes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import Hint, SourceError
from lamofc_store.sample import Sample, Scalar
from lamofc_store.sources.contract import ALL_FEATURES, FeatureFilter, reading

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

ID_COLUMNS = ("sample", "id")
"""The columns that may hold the ids where the user names none."""
BATCH_ROWS = 1024
"""Rows read at a time."""


@dataclass(frozen=True)
class Tables:
    """Each row of each file is one sample; the columns of one row group are in memory at a time."""

    files: tuple[Path, ...]
    features: FeatureFilter = ALL_FEATURES
    id_column: str | None = None
    reiterable: bool = True
    any_thread: bool = True

    def __post_init__(self) -> None:
        _ = self.columns
        _unique_ids(self.files, self.columns.id)

    @cached_property
    def columns(self) -> Columns:
        """The columns of the first file; SourceError where another file has a different schema."""
        first, *others = [(path, _schema(path)) for path in self.files]
        for path, schema in others:
            if not schema.equals(first[1]):
                raise SourceError(
                    f"{path} has other columns than {first[0]}: {schema.names} and {first[1].names}",
                    "open them one by one, or write them with one schema",
                )
        return _columns(*first, self.id_column, self.features)

    @cached_property
    def _rows(self) -> int:
        from pyarrow.parquet import ParquetFile

        return sum(ParquetFile(path).metadata.num_rows for path in self.files)

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Sample]:
        from pyarrow.parquet import ParquetFile

        columns = self.columns
        for path in self.files:
            with reading(path, ".parquet file"), ParquetFile(path, pre_buffer=False) as file:
                names = [columns.id, *columns.features, *columns.attributes]
                for group in range(file.num_row_groups):
                    for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=names):
                        yield from _samples(path, batch, columns)

    def sample_ids(self) -> Iterator[str]:
        """Yield the ids of all rows."""
        for path in self.files:
            yield from _read_ids(path, self.columns.id).to_pylist()

    def describe(self) -> str:
        """Return the number of rows, and the columns by their use."""
        columns = self.columns
        place = str(self.files[0]) if len(self.files) == 1 else f"{len(self.files)} files beside {self.files[0]}"
        left_out = f"; left out: {', '.join(columns.left_out)}" if columns.left_out else ""
        return (
            f"{len(self)} rows of {place}, a sample each by {columns.id!r}: features {', '.join(columns.features)};"
            f" attributes {', '.join(columns.attributes) or 'none'}{left_out}"
        )


@dataclass(frozen=True)
class Columns:
    """The columns of a table by their use."""

    id: str
    features: tuple[str, ...]
    attributes: tuple[str, ...]
    left_out: tuple[str, ...]
    """Columns that are neither numbers in lists nor plain values, with their types."""


def _schema(path: Path) -> pa.Schema:
    from pyarrow.parquet import read_schema

    with reading(path, ".parquet file"):
        return read_schema(path)


def _columns(path: Path, schema: pa.Schema, id_column: str | None, feature_filter: FeatureFilter) -> Columns:
    """Divide the columns of a table by their types."""
    key = id_column or next((name for name in ID_COLUMNS if name in schema.names), None)
    if key is None or key not in schema.names:
        raise SourceError(
            f"{path} has no column {id_column or ' or '.join(ID_COLUMNS)!r} of sample ids;"
            f" it has {', '.join(schema.names[:12])}",
            "name the column that holds the ids",
        )
    others = [field for field in schema if field.name != key]
    features = {field.name: field for field in others if _is_tensor(field.type)}
    if not features:
        raise SourceError(
            f"{path} has no list column of numbers; it has {', '.join(str(field) for field in others)[:200] or 'none'}",
            Hint("features are columns of type list<float>; a table of attributes alone goes in by [table]"),
        )
    attributes = [field.name for field in others if _is_plain(field.type)]
    left_out = [f"{field.name} ({field.type})" for field in others if field.name not in {*features, *attributes}]
    return Columns(key, tuple(feature_filter.pick(features, str(path))), tuple(attributes), tuple(left_out))


def _is_tensor(data_type: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_list(data_type) or types.is_large_list(data_type) or types.is_fixed_size_list(data_type):
        inner = data_type.value_type
        return types.is_floating(inner) or types.is_integer(inner) or types.is_boolean(inner) or _is_tensor(inner)
    return False


def _is_plain(data_type: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(data_type):
        return _is_plain(data_type.value_type)
    texts = types.is_string(data_type) or types.is_large_string(data_type)
    numbers = types.is_integer(data_type) or types.is_floating(data_type) or types.is_boolean(data_type)
    return bool(texts or numbers or types.is_temporal(data_type))


def _unique_ids(files: tuple[Path, ...], column: str) -> None:
    """Raise SourceError for a repeated or absent id; all ids are compared as packed Arrow columns."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = []
    for path in files:
        parts.append(_read_ids(path, column))
        if parts[-1].null_count:
            raise SourceError(f"{path}: {parts[-1].null_count} rows have no {column!r}", "give every row an id")
    ids = pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string())
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = ids.value_counts()
    repeated = next(pair["values"].as_py() for pair in counts if pair["counts"].as_py() > 1)
    where = [str(path) for path, part in zip(files, parts, strict=True) if pc.any(pc.equal(part, repeated)).as_py()]
    raise SourceError(f"the id {repeated!r} stands in several rows of {' and '.join(where)}", f"make {column!r} unique")


def _read_ids(path: Path, column: str) -> pa.ChunkedArray:
    """Read the column of ids as text."""
    import pyarrow as pa
    from pyarrow.parquet import read_table

    with reading(path, ".parquet file"):
        return read_table(path, columns=[column]).column(0).cast(pa.string())


def _samples(path: Path, batch: pa.RecordBatch, columns: Columns) -> Iterator[Sample]:
    ids = [str(value) for value in batch.column(columns.id).to_pylist()]
    plain = {name: [_scalar(value) for value in batch.column(name).to_pylist()] for name in columns.attributes}
    lists = {name: batch.column(name) for name in columns.features}
    for row, sample in enumerate(ids):
        features = {
            name: _tensor(path, sample, name, column[row].values)
            for name, column in lists.items()
            if column[row].is_valid
        }
        yield Sample(sample, features, {name: values[row] for name, values in plain.items()})


def _scalar(value: object) -> Scalar:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _tensor(path: Path, sample: str, name: str, values: pa.Array) -> torch.Tensor:
    """Make a tensor, with memory of its own, from a list of numbers or of equally long lists."""
    import numpy as np
    import torch

    shape: list[int] = []
    while not _is_number(values):
        lengths = {len(item.values) if item.is_valid else -1 for item in values}
        if len(lengths) > 1 or lengths == {-1}:
            raise SourceError(
                f"{path}: sample {sample!r}, column {name!r} holds lists of lengths {sorted(lengths)[:6]}",
                "make the inner lists of a row equally long, or store them flat",
            )
        shape.append(len(values))
        values = values.flatten()
    if values.null_count:
        raise SourceError(
            f"{path}: sample {sample!r}, column {name!r} has {values.null_count} empty values",
            "fill them in, or drop the row",
        )
    width = len(values) // int(np.prod(shape)) if all(shape) else 0
    array: Any = values.to_numpy(zero_copy_only=False)
    return torch.from_numpy(np.array(array)).reshape(*shape, width)


def _is_number(values: pa.Array) -> bool:
    return not hasattr(values.type, "value_type")
