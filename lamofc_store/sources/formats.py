"""The file formats of sources, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from lamofc_store.errors import Hint, SourceError
from lamofc_store.sample import Sample
from lamofc_store.sources.contract import Column, FeatureFilter
from lamofc_store.sources.families import FAMILIES
from lamofc_store.sources.readers import (
    compressai_vision,
    lamofc_npy,
    numpy_files,
    safetensors_files,
    torch_files,
)

AUTO, ROWS, PARQUET = "auto", "rows", "parquet"
"""`auto` finds the format of each file; `rows` is any format with columns, each row of which is a sample."""

Read: TypeAlias = Callable[[Path, str, FeatureFilter], Sample]
"""Read a file as the sample of an id, with the features that pass a filter."""
ReadColumns: TypeAlias = Callable[[Path], Mapping[str, Column]]
"""Read a file as stacked columns, each row of which belongs to a sample."""


def _read_table(path: Path, name: str, features: FeatureFilter) -> Sample:
    """Refuse to read a table as one sample."""
    raise SourceError(f"{path} is a table, each row of which is a sample", Hint(f"give [format] {PARQUET}"))


@dataclass(frozen=True)
class Format:
    """One format of files."""

    name: str
    """As the argument `format` names it."""
    suffixes: tuple[str, ...] = ()
    """Suffixes that are of this format unless another one recognises the file."""
    read: Read = _read_table
    columns: ReadColumns | None = None
    """None where rows cannot be read one by one."""
    keep_as: tuple[str, ...] = ()
    """Formats whose files may hold this one; such a file is recognised by its content, not by its suffix."""
    recognise: Callable[[Path], bool] | None = None
    """Whether a file of those formats is of this one, by its path."""


TABLE = (
    Format("safetensors", (".safetensors",), safetensors_files.read, safetensors_files.columns),
    Format("npz", (".npz",), numpy_files.read, numpy_files.columns),
    Format("npy", (".npy",), numpy_files.read, numpy_files.columns),
    Format("pt", (".pt", ".pth"), torch_files.read),
    Format("zst", (".zst",), torch_files.read),
    Format("compressai-vision", (".h5",), compressai_vision.read),
    Format(PARQUET, (".parquet",)),
    Format("lamofc-npy", read=lamofc_npy.read, keep_as=("npy",), recognise=lamofc_npy.is_task_file),
    *(Format(family, read=partial(torch_files.read, family=family), keep_as=("pt", "zst")) for family in FAMILIES),
)
"""Every format; a new one is a file in `readers` and a line here."""
BY_NAME = {format.name: format for format in TABLE}
BY_SUFFIX = {suffix: format for format in TABLE for suffix in format.suffixes}
FORMATS = (AUTO, *sorted({*BY_NAME, ROWS}))
"""The names that the argument `format` takes. A file is one sample, but for `rows` and `parquet`."""


def suffixes_of(name: str) -> set[str]:
    """Return the suffixes of the files that may be of a format."""
    if name == AUTO:
        return set(BY_SUFFIX)
    if name == ROWS:
        return {suffix for suffix, format in BY_SUFFIX.items() if format.columns is not None}
    format = BY_NAME[name]
    return {suffix for container in (name, *format.keep_as) for suffix in BY_NAME[container].suffixes}


def format_of(path: Path) -> Format:
    """Return the format of a file: by its suffix, or one that is kept in such files and recognises its path."""
    by_suffix = BY_SUFFIX[path.suffix.lower()]
    for format in TABLE:
        if by_suffix.name in format.keep_as and format.recognise is not None and format.recognise(path):
            return format
    return by_suffix
