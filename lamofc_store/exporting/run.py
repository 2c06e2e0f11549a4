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
from lamofc_store.exporting.formats import BENCH, Format, format_named
from lamofc_store.exporting.index import IndexWriter
from lamofc_store.exporting.marker import claim
from lamofc_store.exporting.samples import (
    BATCH_SAMPLES,
    Content,
    ExportedSample,
    check_content,
    rows_of,
    samples_to_write,
)
from lamofc_store.exporting.scripts import (
    Script,
    list_digest,
    read_sample_list,
    script_files,
    script_named,
    select_listed,
)
from lamofc_store.sources import SCRIPT_KEY, export_files

if TYPE_CHECKING:
    from lamofc_codecs import Quality
    from lamofc_store.store import Store

DEFAULT_FORMAT = "safetensors"


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
    format: str | None = None,
    *,
    script: str | None = None,
    features: Sequence[str] = (),
    where: str | None = None,
    samples_from: str | os.PathLike[str] | None = None,
    quality: Quality | None = None,
    measured: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write each sample to its own file under `out`; `features` are globs, `where` is SQL over the samples' columns.

    `script` names an evaluation script of LaMoFCBench: files are then named, keyed and nested as it reads them, in the
    format `lamofcbench`; without one the format is `safetensors` by default. `samples_from` is a file that lists ids,
    or the script's own list. `measured`, bits and errors beside the features, is for `lamofcbench`.
    A `quality` reads only the layers that it needs. A run that was stopped is completed by the same call.
    """
    reader = None if script is None else script_named(script)
    format = _format(format, script)
    form = format_named(format, measured=measured)
    listed: Sequence[str] = [] if samples_from is None else read_sample_list(Path(samples_from), reader)
    samples = _samples(store, where, listed, reader)
    folder = Path(out)
    _require_apart(folder, store.url)
    content = Content(features, measured, reader)
    check_content(store, samples, content)
    named = list(export_files(samples, form.suffix) if reader is None else script_files(reader, samples, form.suffix))
    told: dict[str, Any] = {"quality": quality and str(quality), SCRIPT_KEY: script, "measured": measured}
    told["samples_from"] = list_digest(listed)
    description: dict[str, Any] = {"store": store.url, "commit": store.head, "format": format}
    description |= {"features": list(features), "where": where}
    description |= {name: value for name, value in told.items() if value}
    with writing(folder):
        claim(folder, description, overwrite)
        exported = _write_files(_Files(store, folder, form, quality), named, content, progress)
    if not exported.samples:
        there = ", ".join(store.features[:8])
        raise NotFound(f"no sample has a feature that matches {' '.join(features)}", f"it has {there}")
    return exported


def _format(format: str | None, script: str | None) -> str:
    """Return the format to write; BadArgument for one that a script does not read."""
    if script is None:
        return format or DEFAULT_FORMAT
    if format not in (None, BENCH):
        raise BadArgument(f"format={format!r} for {script}", Hint(f"leave out [format]: the script reads {BENCH}"))
    return BENCH


def _samples(store: Store, where: str | None, listed: Sequence[str], script: Script | None) -> list[str]:
    """Return the samples that a condition selects and a list names."""
    samples = store.find(where) if where else list(store)
    if listed:
        samples = select_listed(samples, listed, store.url, script)
    if not samples:
        hint = Hint("correct [where]; `lamofc ls` lists the samples")
        raise NotFound(f"no sample of {store.url} matches {where or 'true'!r}", hint)
    return samples


@dataclass(frozen=True)
class _Files:
    """The files of an export."""

    store: Store
    folder: Path
    form: Format
    quality: Quality | None

    def write(self, sample: ExportedSample) -> int:
        """Write the file of a sample; return its bytes."""
        target = self.folder / sample.file
        tensors = self.store.tensors(sample.sample, sample.features or None, self.quality)
        with atomic_file(target) as file:
            self.form.write(file, tensors, sample.structure)
        return target.stat().st_size


def _write_files(
    target: _Files, named: Sequence[tuple[str, str]], content: Content, progress: Callable[[int, int], None] | None
) -> Exported:
    """Write the files that are missing, and then the index of all; no index where no sample has a chosen feature."""
    count = files = size = 0
    index = IndexWriter(target.folder)
    for start in range(0, len(named), BATCH_SAMPLES):
        batch = samples_to_write(target.store, named[start : start + BATCH_SAMPLES], content)
        for sample in batch:
            if not (target.folder / sample.file).is_file():
                size += target.write(sample)
                files += 1
            count += 1
            if progress is not None:
                progress(count, len(named))
        index.add(_index_rows(target.store, batch), [sample.file for sample in batch])
    if count:
        index.close()
    return Exported(count, files, size)


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
