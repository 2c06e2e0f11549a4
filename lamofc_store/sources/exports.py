"""File names and index of an export, as the export writes them and a source reads them.

A name is the encoded id of its sample, so that a folder can be read without its index. An id too long for any file
system gets a name by hash; then only the index knows the id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from lamofc_store.errors import SourceError
from lamofc_store.sample import EXPORT_MARKER, files_of, id_of
from lamofc_store.sources.contract import reading

INDEX = "index.parquet"
"""The table of samples and files, written last."""
MAX_NAME_CHARACTERS = 2048
"""Length of a relative name beyond which it is replaced by a hash: half of the longest path of common systems."""
SCRIPT_KEY = "for"
"""Key of an export's marker that names the script for which its files are named; then only the index knows the ids."""
HASH_PREFIX = "%~"
"""Begins a name by hash; no encoded id begins so."""


def export_files(samples: Iterable[str], suffix: str) -> Iterator[tuple[str, str]]:
    """Yield each sample with the relative name of its file."""
    for sample, file in files_of(samples, suffix):
        if len(file) > MAX_NAME_CHARACTERS:
            file = f"{HASH_PREFIX}{hashlib.sha256(sample.encode()).hexdigest()[:40]}{suffix}"
        yield sample, file


def is_export(folder: Path) -> bool:
    """Whether a folder was written by an export."""
    return (folder / EXPORT_MARKER).is_file()


def exported_ids(root: Path, files: Iterable[Path]) -> list[str]:
    """Return the ids of an export's files: decoded from their names, or looked up in the index."""
    by_file: dict[str, str] | None = None
    encoded = not _is_for_script(root)
    ids = []
    for path in files:
        file = path.relative_to(root).as_posix()
        if encoded and not file.startswith(HASH_PREFIX):
            ids.append(id_of(file, path.suffix))
            continue
        by_file = _index(root) if by_file is None else by_file
        if file not in by_file:
            raise SourceError(f"{path} is in no row of {root / INDEX}, which holds its id", "complete the export")
        ids.append(by_file[file])
    return ids


def _is_for_script(root: Path) -> bool:
    """Whether the marker says that files have the names of a script."""
    try:
        marker = json.loads((root / EXPORT_MARKER).read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(marker, dict) and SCRIPT_KEY in marker


def _index(root: Path) -> dict[str, str]:
    """Read the sample of each file from the index; empty where there is none."""
    from pyarrow.parquet import read_table

    if not (root / INDEX).is_file():
        return {}
    with reading(root / INDEX, ".parquet file"):
        table = read_table(root / INDEX, columns=["file", "sample"])
        return dict(zip(table["file"].to_pylist(), table["sample"].to_pylist(), strict=True))
