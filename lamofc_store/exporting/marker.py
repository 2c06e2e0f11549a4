"""The marker of an export: the first file in its folder, which says what the folder is an export of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lamofc_store.errors import Conflict, Hint
from lamofc_store.exporting.atomic_file import atomic_file
from lamofc_store.exporting.formats import FORMATS
from lamofc_store.sample import EXPORT_MARKER
from lamofc_store.sources import INDEX


def claim(folder: Path, description: dict[str, Any], overwrite: bool = False) -> None:
    """Claim a folder that is new, empty, or the same export; `overwrite` removes the files of another export first."""
    marker = folder / EXPORT_MARKER
    folder.mkdir(parents=True, exist_ok=True)
    if not marker.is_file():
        if any(path.name != f".{EXPORT_MARKER}.part" for path in folder.iterdir()):
            raise Conflict(f"{folder} is neither empty nor an export", "choose a folder that is new or empty")
    else:
        before = _read(marker)
        if before == description and not overwrite:
            return
        if not overwrite:
            changed = ", ".join(
                f"{key} {before.get(key)!r} -> {description.get(key)!r}"
                for key in {**before, **description}
                if before.get(key) != description.get(key)
            )
            raise Conflict(
                f"{folder} holds another export: {changed}", Hint("give [overwrite] to replace it, or another folder")
            )
        (folder / INDEX).unlink(missing_ok=True)
        for path in folder.rglob(f"*{FORMATS[before['format']].suffix}"):
            path.unlink()
    with atomic_file(marker) as file:
        file.write(json.dumps(description, indent=1).encode())


def _read(marker: Path) -> dict[str, Any]:
    """Read a marker; Conflict where it is none."""
    try:
        before = json.loads(marker.read_bytes())
    except ValueError:
        before = None
    if not isinstance(before, dict) or before.get("format") not in FORMATS:
        raise Conflict(f"{marker} is not readable as an export's marker", "choose another folder")
    return before
