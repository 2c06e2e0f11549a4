"""Everything out again, in forms that others read: one file a sample, and an index of attributes in Parquet.

A file is written beside its place and renamed, so what has its name is whole. `export.json`, written first, says what
the folder is an export of: the same export goes on where it stopped, another is refused. `index.parquet` comes last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lamofc_store.errors import Conflict, Hint, NotFound, StoreError
from lamofc_store.exporting.bench_envelope import FIGURES, enveloped
from lamofc_store.exporting.formats import FORMATS, format_named, numpy_of
from lamofc_store.sample import EXPORT_MARKER, Sample, Scalar, add_features, file_of, files_of

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_codecs import Quality
    from lamofc_store.store import Store

__all__ = [
    "FORMATS",
    "INDEX",
    "Exported",
    "claim",
    "export",
    "file_of",
    "files_of",
    "format_named",
    "numpy_of",
    "whole",
    "write_index",
]
INDEX = "index.parquet"
NESTING = "nesting"
"""The index's column of structures: in a table of attributes `structure` would be taken for the store's own."""
BATCH = 4096
"""Samples whose rows are asked for at a time."""

_NO_MATCH = Hint("correct [where]; `lamofc ls` lists the samples")


@dataclass(frozen=True)
class Exported:
    """What an export left behind."""

    samples: int
    """Samples in the index, written now or before."""
    files: int
    """Files written by this run."""
    bytes: int
    """Bytes of those files."""


@dataclass(frozen=True)
class _Item:
    """One sample on its way out."""

    sample: str
    file: str
    features: list[str]
    structure: str | None


def export(  # noqa: PLR0913
    store: Store,
    out: str | os.PathLike[str],
    format: str = "safetensors",
    *,
    features: Sequence[str] = (),
    where: str | None = None,
    quality: Quality | None = None,
    keys: str = "original",
    measured: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write each sample to its own file under `out`; `features` are globs, `where` is SQL over the samples' columns.

    `keys` (original, segmentation, layer) and `measured`, bits and errors beside the features, are for `lamofcbench`.
    With a `quality`, less of records in layers is read. A run that was stopped is completed by the same call.
    """
    form = format_named(format, keys, measured=measured)
    samples = store.find(where) if where else list(store)
    if not samples:
        raise NotFound(f"no sample of {store.url} matches {where or 'true'!r}", _NO_MATCH)
    folder = Path(out)
    wanted = {"store": store.url, "commit": store.head, "format": format, "features": list(features), "where": where}
    wanted |= _unusual(quality=quality and str(quality), keys=keys.replace("original", ""), measured=measured)
    count = files = size = 0
    with _writing(folder):
        claim(folder, wanted, overwrite)
        index = _Index(folder / INDEX)
        named = list(files_of(samples, form.suffix))
        for start in range(0, len(named), BATCH):
            batch = _items(store, named[start : start + BATCH], features, measured=measured)
            for item in batch:
                target = folder / item.file
                if not target.is_file():
                    tensors = store.tensors(item.sample, item.features or None, quality)
                    with whole(target) as file:
                        form.write(file, tensors, item.structure)
                    size += target.stat().st_size
                    files += 1
                count += 1
                if progress is not None:
                    progress(count, len(samples))
            index.add(store, batch)
        if not count:
            there = ", ".join(store.features[:8])
            raise NotFound(f"no sample has a feature that matches {' '.join(features)}", f"it has {there}")
        index.close()
    return Exported(count, files, size)


def _unusual(**told: Any) -> dict[str, Any]:
    """What a marker tells only where it is told."""
    return {name: value for name, value in told.items() if value}


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say where and why a disk refused, and that nothing is lost."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}",
            "make room or choose another folder; the same command goes on where it stopped",
        ) from error


@contextmanager
def whole(target: Path) -> Iterator[BinaryIO]:
    """A file to write that takes its name when all of it is on the disk; until then it is a dot file beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


class _Index:
    """The Parquet table of exported samples: id, file, nesting and the user's columns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._writer: Any = None

    def add(self, store: Store, items: list[_Item]) -> None:
        """The rows of some samples, in their order."""
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        ids = pa.array([item.sample for item in items], pa.string())
        rows = _rows(store, "SELECT * FROM samples", ids.to_pylist())
        rows = rows.take(pa.compute.index_in(ids, rows.column("sample").combine_chunks().cast(pa.string())))
        table = _filed(rows, [item.file for item in items])
        if self._writer is None:
            self._writer = ParquetWriter(self._part, table.schema, compression="zstd")
        self._writer.write_table(table.cast(self._writer.schema))

    def close(self) -> None:
        """The index is whole: give it its name."""
        self._writer.close()
        self._part.replace(self._path)


def _rows(store: Store, query: str, samples: list[str]) -> pa.Table:
    """Rows of some samples as an Arrow table."""
    return store.sql(f"{query} WHERE sample IN (SELECT unnest(?))", [samples]).to_arrow_table()


def _items(store: Store, named: list[tuple[str, str]], globs: Sequence[str], *, measured: bool = False) -> list[_Item]:
    """What to write of some samples; those without a wanted feature are left out."""
    items = _chosen(store, named, globs)
    if not measured:
        return items
    rows = _by_sample(store, FIGURES, [item.sample for item in items])
    return [_with_figures(item, rows[item.sample]) for item in items]


def _with_figures(item: _Item, rows: list[dict[str, Any]]) -> _Item:
    """The same in an envelope with what was measured of its features."""
    wanted = [row for row in rows if not item.features or row["feature"] in item.features]
    nested = enveloped(item.structure, item.sample, wanted)
    return replace(item, structure=add_features(nested, [row["feature"] for row in wanted]))


def _chosen(store: Store, named: list[tuple[str, str]], globs: Sequence[str]) -> list[_Item]:
    ids = [sample for sample, _ in named]
    if globs:
        held = _features(store, ids)
        some = {sample: [name for name in held.get(sample, ()) if _fits(name, globs)] for sample in ids}
        return [_Item(sample, file, some[sample], None) for sample, file in named if some[sample]]
    rows = _rows(store, "SELECT sample, structure FROM samples", ids).to_pylist()
    structures = {row["sample"]: row["structure"] for row in rows if row["structure"] is not None}
    held = _features(store, list(structures))
    nested = {sample: add_features(text, held.get(sample, ())) for sample, text in structures.items()}
    return [_Item(sample, file, [], nested.get(sample)) for sample, file in named]


def _fits(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _features(store: Store, samples: list[str]) -> dict[str, list[str]]:
    """Names of each sample's features, sorted."""
    rows = _by_sample(store, "SELECT sample, feature FROM records", samples)
    return {sample: sorted(row["feature"] for row in some) for sample, some in rows.items()}


def _by_sample(store: Store, query: str, samples: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Rows of each of some samples."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in _rows(store, query, samples).to_pylist():
        found.setdefault(row["sample"], []).append(row)
    return found


def write_index(folder: Path, files: Mapping[str, str], attributes: Mapping[str, Mapping[str, Scalar]]) -> None:
    """The index of files, by sample, that came of no store."""
    from pyarrow.parquet import write_table

    from lamofc_store.ingest import sample_rows

    rows = sample_rows({sample: Sample(sample, {}, attributes[sample]) for sample in files})
    with whole(folder / INDEX) as file:
        write_table(_filed(rows, list(files.values())), file)


def _filed(rows: pa.Table, files: list[str]) -> pa.Table:
    """Samples as the index tells of them, with the file of each."""
    import pyarrow as pa

    rows = rows.rename_columns([NESTING if name == "structure" else name for name in rows.column_names])
    return rows.append_column("file", pa.array(files, pa.string()))


def claim(folder: Path, wanted: dict[str, Any], overwrite: bool = False) -> None:
    """Make the folder ours: new, empty, or the same export as before; with `overwrite` an older export goes."""
    marker = folder / EXPORT_MARKER
    folder.mkdir(parents=True, exist_ok=True)
    if not marker.is_file():
        if any(path.name != f".{EXPORT_MARKER}.part" for path in folder.iterdir()):
            raise Conflict(f"{folder} is neither empty nor an export", "choose a folder that is new or empty")
    else:
        before = _read_marker(marker)
        if before == wanted and not overwrite:
            return
        if not overwrite:
            changed = ", ".join(
                f"{key} {before.get(key)!r} -> {wanted.get(key)!r}"
                for key in {**before, **wanted}
                if before.get(key) != wanted.get(key)
            )
            raise Conflict(
                f"{folder} holds another export: {changed}", Hint("give [overwrite] to replace it, or another folder")
            )
        (folder / INDEX).unlink(missing_ok=True)
        for path in folder.rglob(f"*{FORMATS[before['format']].suffix}"):
            path.unlink()
    with whole(marker) as file:
        file.write(json.dumps(wanted, indent=1).encode())


def _read_marker(marker: Path) -> dict[str, Any]:
    try:
        before = json.loads(marker.read_bytes())
    except ValueError:
        before = None
    if not isinstance(before, dict) or before.get("format") not in FORMATS:
        raise Conflict(f"{marker} is not readable as an export's marker", "choose another folder")
    return before
