"""Sample ids from file names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lamofc_store.errors import Hint, SourceError


def sample_id(root: Path, path: Path) -> str:
    """Return the path beneath `root` with `/` between its parts and without the suffix, the same on every machine."""
    name = path.relative_to(root).with_suffix("").as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise SourceError(
            f"{name!r} is no text in UTF-8", "rename the file: its name becomes the sample's id"
        ) from None
    return name


def require_unique_ids(ids: Sequence[str], files: Sequence[Path]) -> None:
    """Raise SourceError naming both files if two of them have one id."""
    first: dict[str, Path] = {}
    for name, path in zip(ids, files, strict=True):
        other = first.setdefault(name, path)
        if other is not path:
            raise SourceError(
                f"{other} and {path} both make the sample id {name!r}",
                Hint("rename one, or choose one kind with [format]"),
            )
