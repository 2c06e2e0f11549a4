"""One door for all sources: a path is listed and its format found, anything else is iterated."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lamofc_store.errors import BadArgument, Hint, NotFound, SourceError
from lamofc_store.sample import EXPORT_MARKER
from lamofc_store.sources.files import Files, find
from lamofc_store.sources.formats import KEPT_AS, READERS, SUFFIXES
from lamofc_store.sources.readers import Items, Source, Tables, Wanted
from lamofc_store.sources.stacked_rows import COLUMNS, Rows, looks_stacked

FORMATS = ("auto", *sorted({*READERS, "parquet", "rows"}))
"""`rows`: a file of stacked tensors, each row a sample; all else but parquet: a file is a sample."""


def open(what: object, format: str = "auto", *, features: Sequence[str] = (), id_column: str | None = None) -> Source:
    """List a folder, a file or an iterable of samples; nothing is loaded before it is iterated.

    `features` are globs over feature names. `id_column` names the ids of tables, rows and dicts.
    """
    if format not in FORMATS:
        raise BadArgument(f"{format!r} is no format of sources", f"choose one of {', '.join(FORMATS)}")
    if isinstance(features, str):
        raise BadArgument(f"features={features!r} is one text, a list of globs is needed", f"write [{features!r}]")
    wanted = Wanted(tuple(features))
    if not isinstance(what, str | os.PathLike):
        if hasattr(what, "describe") and hasattr(what, "reiterable") and not wanted.globs:
            return what  # type: ignore[return-value]
        return Items(what, wanted, id_column)
    root = Path(what)
    if "://" in str(what):
        raise SourceError(
            f"{what} is a URL, sources are local", "fetch it first, or yield samples from your own reader"
        )
    if not root.exists():
        raise NotFound(f"{root} does not exist (looked in {Path.cwd()})", "give a file or a folder of features")
    return _files(root, format, wanted, id_column)


def _files(root: Path, format: str, wanted: Wanted, id_column: str | None) -> Source:
    """The source of a path that exists."""
    kinds = {"auto": set(SUFFIXES.values()), "rows": set(COLUMNS)}.get(format, KEPT_AS.get(format, {format}))
    suffixes = {suffix for suffix, kind in SUFFIXES.items() if kind in kinds}
    files = find(root, suffixes)
    single = not root.is_dir()
    if not files:
        raise SourceError(
            f"{root} holds no file of {', '.join(sorted(suffixes))}, nor does a folder in it", "check the path"
        )
    if single and format == "auto" and root.suffix.lower() not in suffixes:
        raise SourceError(
            f"{root} has the unknown suffix {root.suffix!r}; known are {', '.join(sorted(suffixes))}",
            Hint("say what it is with [format], or convert it to .safetensors"),
        )
    if format == "auto":
        others = tuple(path for path in files if path.suffix.lower() != ".parquet")
        format = "parquet" if not others else "rows" if single and looks_stacked(root) else "auto"
        files = others or files
    base = root.parent if single else root
    if format == "parquet":
        return Tables(files, wanted, id_column)
    if format == "rows":
        return Rows(base, files, wanted, id_column)
    return Files(base, files, format, wanted, (base / EXPORT_MARKER).is_file())
