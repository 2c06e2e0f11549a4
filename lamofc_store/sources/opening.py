"""Open any source: list a path and find its format, or iterate anything else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lamofc_store.errors import BadArgument, Hint, NotFound, SourceError
from lamofc_store.sources.contract import FeatureFilter, Source
from lamofc_store.sources.files import Files, find
from lamofc_store.sources.formats import AUTO, FORMATS, PARQUET, ROWS, suffixes_of
from lamofc_store.sources.iterables import Items
from lamofc_store.sources.parquet_tables import Tables
from lamofc_store.sources.stacked_rows import Rows, looks_stacked


def open(what: object, format: str = AUTO, *, features: Sequence[str] = (), id_column: str | None = None) -> Source:
    """List a folder, a file or an iterable of samples; nothing is loaded before it is iterated.

    `features` are globs over feature names. `id_column` names the ids of tables, rows and dicts.
    """
    if format not in FORMATS:
        raise BadArgument(f"{format!r} is no format of sources", f"choose one of {', '.join(FORMATS)}")
    if isinstance(features, str):
        raise BadArgument(f"features={features!r} is one text, a list of globs is needed", f"write [{features!r}]")
    feature_filter = FeatureFilter(tuple(features))
    if not isinstance(what, str | os.PathLike):
        if hasattr(what, "describe") and hasattr(what, "reiterable") and not feature_filter.globs:
            return what  # type: ignore[return-value]
        return Items(what, feature_filter, id_column)
    root = Path(what)
    if "://" in str(what):
        raise SourceError(
            f"{what} is a URL, sources are local", "fetch it first, or yield samples from your own reader"
        )
    if not root.exists():
        raise NotFound(f"{root} does not exist (looked in {Path.cwd()})", "give a file or a folder of features")
    return _open_path(root, format, feature_filter, id_column)


def _open_path(root: Path, format: str, features: FeatureFilter, id_column: str | None) -> Source:
    """Open a path that exists."""
    suffixes = suffixes_of(format)
    files = find(root, suffixes)
    single = not root.is_dir()
    if not files:
        raise SourceError(
            f"{root} holds no file of {', '.join(sorted(suffixes))}, nor does a folder in it", "check the path"
        )
    if single and format == AUTO and root.suffix.lower() not in suffixes:
        raise SourceError(
            f"{root} has the unknown suffix {root.suffix!r}; known are {', '.join(sorted(suffixes))}",
            Hint("say what it is with [format], or convert it to .safetensors"),
        )
    if format == AUTO:
        others = tuple(path for path in files if path.suffix.lower() not in suffixes_of(PARQUET))
        format = PARQUET if not others else ROWS if single and looks_stacked(root) else AUTO
        files = others or files
    base = root.parent if single else root
    if format == PARQUET:
        return Tables(files, features, id_column)
    if format == ROWS:
        return Rows(base, files, features, id_column)
    return Files(base, files, format, features)
