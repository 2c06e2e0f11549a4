"""Published mappings: the levels of each feature by a `mapping.json` of DT-UFC and LaMoFCBench.

Such a file names, for each family of models, JSON lists of levels by patterns of feature names. A pattern matches the
names that contain its dotted segments in a row: `layer.1` matches `layer.1.k_cache` and not `layer.19.0`. The longest
pattern applies; if two of equal length name different lists, the feature is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lamofc_codecs.errors import UnsupportedInput

_MAX_FILE_BYTES = 1 << 22
"""Bytes of the largest JSON file that is read; 1024 levels take 30 000."""


def routed(feature: str, options: Mapping[str, object]) -> Mapping[str, object]:
    """Return the options with the mapping replaced by its levels for a feature."""
    if options.get("mapping") is None:
        if options.get("family") is not None:
            raise UnsupportedInput(f"family={options['family']!r} without a mapping", "give mapping=FILE, too")
        return options
    if options.get("levels") is not None:
        raise UnsupportedInput("levels beside a mapping", "give one of the two")
    others = {name: value for name, value in options.items() if name not in ("mapping", "family")}
    return {**others, "levels": levels_for(feature, Path(str(options["mapping"])), options.get("family"))}


def refuse_unrouted(options: Mapping[str, object]) -> None:
    """Refuse a mapping that was not replaced, because the name of the feature is not known."""
    if options.get("mapping") is not None:
        raise UnsupportedInput(
            f"mapping={options['mapping']!r} for a feature without a name",
            "give levels=published_levels(file, family)[pattern], or fit through a store",
        )


def levels_for(feature: str, file: Path, family: object = None) -> list[float]:
    """Return the levels of a feature: those that the file's patterns name, or the file itself if it is a list."""
    document = _read(file)
    if isinstance(document, list):
        return document
    patterns = _family(document, file, family)
    pattern = route(feature, patterns)
    levels = _read(_inside(file, patterns[pattern]))
    if not isinstance(levels, list):
        raise UnsupportedInput(f"{patterns[pattern]} is no list of levels", f"give {pattern!r} of {file} another file")
    return levels


def published_levels(file: Path, family: object = None) -> dict[str, list[float]]:
    """Return the levels of each pattern of a mapping; a file that is a list of levels counts as the pattern `*`."""
    document = _read(file)
    if isinstance(document, list):
        return {"*": document}
    return {pattern: levels_for(pattern, file, family) for pattern in _family(document, file, family)}


def route(feature: str, patterns: Mapping[str, str]) -> str:
    """Return the pattern that applies to a feature."""
    matches = [pattern for pattern in patterns if _within(pattern.split("."), feature.split("."))]
    longest = max((len(pattern.split(".")) for pattern in matches), default=0)
    best = [pattern for pattern in matches if len(pattern.split(".")) == longest]
    if not best:
        raise UnsupportedInput(
            f"no pattern stands for {feature!r}; there are {', '.join(sorted(patterns)[:12])}",
            "rename the feature, or leave it out",
        )
    if len({patterns[pattern] for pattern in best}) > 1:
        raise UnsupportedInput(f"{feature!r} may go by {' or by '.join(best)}", "give a longer pattern for it")
    return best[0]


def _within(pattern: list[str], name: list[str]) -> bool:
    """Say whether a name contains the segments of a pattern in a row.

    The last segment may end at an underscore within a segment of the name, because two published patterns end there.
    """
    for first in range(len(name) - len(pattern) + 1):
        part = name[first : first + len(pattern)]
        if part[:-1] == pattern[:-1] and (part[-1] == pattern[-1] or part[-1].startswith(pattern[-1] + "_")):
            return True
    return False


def _family(document: Any, file: Path, family: object) -> dict[str, str]:
    """Return the patterns of one family; a file that maps patterns directly has only one."""
    if not isinstance(document, dict) or not document:
        raise UnsupportedInput(f"{file} is neither a list of levels nor an object of patterns", "give another file")
    if all(isinstance(value, str) for value in document.values()):
        return document
    if family is None and len(document) == 1:
        family = next(iter(document))
    patterns = document.get(str(family)) if family is not None else None
    if not isinstance(patterns, dict) or not all(isinstance(value, str) for value in patterns.values()):
        raise UnsupportedInput(f"{file} has no family {family!r}", f"family: one of {', '.join(sorted(document))}")
    return patterns


def _inside(file: Path, name: str) -> Path:
    """Return the path of a list that a file names, or refuse one outside of the file's folder."""
    folder = file.parent.resolve()
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise UnsupportedInput(f"{file} names {name!r}, outside of its own folder", "copy the list into the folder")
    return path


def _read(file: Path) -> Any:
    try:
        if file.stat().st_size > _MAX_FILE_BYTES:
            raise UnsupportedInput(
                f"{file} has {file.stat().st_size} bytes", f"a mapping has {_MAX_FILE_BYTES} at most"
            )
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UnsupportedInput(
            f"{file} cannot be read as JSON: {error}", "give a mapping.json or a list of levels"
        ) from error
