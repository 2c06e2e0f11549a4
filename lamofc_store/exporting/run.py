"""Export samples in forms that others read: one file a sample, and an index of attributes in Parquet.

A file is written beside its place and renamed, so that a file with its name is complete. The marker `export.json`,
written first, says what the folder is an export of: the same export continues where it stopped, another is refused.
`index.parquet` comes last.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import BadArgument, Hint, NotFound
from lamofc_store.exporting.atomic_file import atomic_file, writing
from lamofc_store.exporting.formats import Format, format_named
from lamofc_store.exporting.index import IndexWriter
from lamofc_store.exporting.marker import claim
from lamofc_store.exporting.samples import ExportedSample, rows_of, samples_to_write
from lamofc_store.sources import export_files

if TYPE_CHECKING:
    from lamofc_codecs import Quality
    from lamofc_store.store import Store

BATCH_SAMPLES = 4096
"""Samples whose rows are queried at a time."""


@dataclass(frozen=True)
class Exported:
    """The result of an export."""

    samples: int
    """Samples in the index, written now or before."""
    files: int
    """Files written by this run."""
    bytes: int
    """Bytes of those files."""


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
    A `quality` reads only the layers that it needs. A run that was stopped is completed by the same call.
    """
    form = format_named(format, keys, measured=measured)
    samples = store.find(where) if where else list(store)
    if not samples:
        hint = Hint("correct [where]; `lamofc ls` lists the samples")
        raise NotFound(f"no sample of {store.url} matches {where or 'true'!r}", hint)
    folder = Path(out)
    _require_apart(folder, store.url)
    description: dict[str, Any] = {"store": store.url, "commit": store.head, "format": format}
    description |= {"features": list(features), "where": where}
    unusual = {"quality": quality and str(quality), "keys": keys.replace("original", ""), "measured": measured}
    description |= {name: value for name, value in unusual.items() if value}
    count = files = size = 0
    with writing(folder):
        claim(folder, description, overwrite)
        index = IndexWriter(folder)
        named = list(export_files(samples, form.suffix))
        for start in range(0, len(named), BATCH_SAMPLES):
            batch = samples_to_write(store, named[start : start + BATCH_SAMPLES], features, measured=measured)
            for sample in batch:
                if not (folder / sample.file).is_file():
                    size += _write(store, sample, folder, form, quality)
                    files += 1
                count += 1
                if progress is not None:
                    progress(count, len(samples))
            index.add(_index_rows(store, batch), [sample.file for sample in batch])
        if not count:
            listed = ", ".join(store.features[:8])
            raise NotFound(f"no sample has a feature that matches {' '.join(features)}", f"it has {listed}")
        index.close()
    return Exported(count, files, size)


def _write(store: Store, sample: ExportedSample, folder: Path, form: Format, quality: Quality | None) -> int:
    """Write the file of a sample; return its bytes."""
    target = folder / sample.file
    tensors = store.tensors(sample.sample, sample.features or None, quality)
    with atomic_file(target) as file:
        form.write(file, tensors, sample.structure)
    return target.stat().st_size


def _index_rows(store: Store, samples: Sequence[ExportedSample]) -> Any:
    """Return the rows of the view `samples`, in the order of these samples."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = pa.array([sample.sample for sample in samples], pa.string())
    rows = rows_of(store, "SELECT * FROM samples", ids.to_pylist())
    return rows.take(pc.index_in(ids, rows.column("sample").combine_chunks().cast(pa.string())))


def _require_apart(folder: Path, url: str) -> None:
    """Raise BadArgument where the folder lies in the store, or the store in the folder."""
    if "://" in url:
        return
    target, place = folder.resolve(), Path(url).resolve()
    if target.is_relative_to(place) or place.is_relative_to(target):
        raise BadArgument(
            f"{folder} and the store {url} lie in each other", "choose a folder outside the store, and not above it"
        )
