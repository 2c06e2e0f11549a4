"""Sample ids from file names."""

from __future__ import annotations

from pathlib import Path

from lamofc_store.errors import SourceError


def sample_id(root: Path, path: Path) -> str:
    """The path beneath `root` with `/` between its parts and without the suffix: the same on every machine."""
    name = path.relative_to(root).with_suffix("").as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise SourceError(
            f"{name!r} is no text in UTF-8", "rename the file: its name becomes the sample's id"
        ) from None
    return name
