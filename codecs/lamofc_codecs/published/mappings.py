"""Published mappings: which levels a feature has, as a `mapping.json` of DT-UFC and LaMoFCBench tells.

Such a file names, for each family of models, JSON lists of levels by patterns of feature names. A pattern stands for
names that have its dotted segments one after another: `layer.1` for `layer.1.k_cache` and not for `layer.19.0`. The
longest pattern wins; where two of one length tell different levels, the feature has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lamofc_codecs.errors import UnsupportedInput

_LARGEST = 1 << 22
"""Bytes of a JSON that is read at all; 1024 levels take 30 000."""


def routed(feature: str, options: Mapping[str, object]) -> Mapping[str, object]:
    """Options in which a mapping's levels for a feature take the place of the mapping."""
    if options.get("mapping") is None:
        if options.get("family") is not None:
            raise UnsupportedInput(f"family={options['family']!r} without a mapping", "give mapping=FILE, too")
        return options
    if options.get("levels") is not None:
        raise UnsupportedInput("levels beside a mapping", "give one of the two")
    rest = {name: value for name, value in options.items() if name not in ("mapping", "family")}
    return {**rest, "levels": levels_for(feature, Path(str(options["mapping"])), options.get("family"))}


def refuse_unrouted(options: Mapping[str, object]) -> None:
    """Refuse a mapping where no feature's name is known."""
    if options.get("mapping") is not None:
        raise UnsupportedInput(
            f"mapping={options['mapping']!r} for a feature without a name",
            "give levels=published_levels(file, family)[pattern], or fit through a store",
        )


def levels_for(feature: str, file: Path, family: object = None) -> list[float]:
    """Levels of a feature: from a list of them, which serves all features, or by a file's patterns."""
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
    """Levels of each pattern of a mapping; of a list of levels, under the pattern `*`."""
    document = _read(file)
    if isinstance(document, list):
        return {"*": document}
    return {pattern: levels_for(pattern, file, family) for pattern in _family(document, file, family)}


def route(feature: str, patterns: Mapping[str, str]) -> str:
    """The pattern that a feature goes by."""
    fits = [pattern for pattern in patterns if _within(pattern.split("."), feature.split("."))]
    longest = max((len(pattern.split(".")) for pattern in fits), default=0)
    best = [pattern for pattern in fits if len(pattern.split(".")) == longest]
    if not best:
        raise UnsupportedInput(
            f"no pattern stands for {feature!r}; there are {', '.join(sorted(patterns)[:12])}",
            "rename the feature, or leave it out",
        )
    if len({patterns[pattern] for pattern in best}) > 1:
        raise UnsupportedInput(f"{feature!r} may go by {' or by '.join(best)}", "give a longer pattern for it")
    return best[0]


def _within(pattern: list[str], name: list[str]) -> bool:
    """Whether a name has these segments one after another. The last may be the start of one, at an underscore: two
    published patterns are cut there."""
    for first in range(len(name) - len(pattern) + 1):
        part = name[first : first + len(pattern)]
        if part[:-1] == pattern[:-1] and (part[-1] == pattern[-1] or part[-1].startswith(pattern[-1] + "_")):
            return True
    return False


def _family(document: Any, file: Path, family: object) -> dict[str, str]:
    """The patterns of one family; a file of one level has but one."""
    if not isinstance(document, dict) or not document:
        raise UnsupportedInput(f"{file} is neither a list of levels nor an object of patterns", "give another file")
    if all(isinstance(value, str) for value in document.values()):
        return document
    if family is None and len(document) == 1:
        family = next(iter(document))
    found = document.get(str(family)) if family is not None else None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise UnsupportedInput(f"{file} has no family {family!r}", f"family: one of {', '.join(sorted(document))}")
    return found


def _inside(file: Path, name: str) -> Path:
    """A path beside the file; what it says is not believed to stay there."""
    folder = file.parent.resolve()
    found = (folder / name).resolve()
    if not found.is_relative_to(folder):
        raise UnsupportedInput(f"{file} names {name!r}, outside of its own folder", "copy the list into the folder")
    return found


def _read(file: Path) -> Any:
    try:
        if file.stat().st_size > _LARGEST:
            raise UnsupportedInput(f"{file} has {file.stat().st_size} bytes", f"a mapping has {_LARGEST} at most")
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UnsupportedInput(
            f"{file} cannot be read as JSON: {error}", "give a mapping.json or a list of levels"
        ) from error
