"""The structure of a sample as a script reads it: its own where the script finds all tensors in it, else a new one."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from lamofc_store.exporting.scripts.script import Script
from lamofc_store.sample import ENVELOPE_KEYS, Keys, tensor_paths


@dataclass(frozen=True)
class Nesting:
    """The structure of one file."""

    structure: str | None
    features: list[str]
    """The features in it; none stands for all of the sample."""
    measured: bool
    """Whether figures stand beside the features, or will."""


def nest_for(script: Script, structure: str | None, features: Collection[str], *, measured: bool) -> Nesting:
    """Nest the features of a sample as a script reads them.

    An envelope that the sample had stays around its features, with its figures; `measured` says that the export puts
    one around them.
    """
    figures = None if structure is None else _figures(structure)
    enveloped = measured or figures is not None
    readings = [reading for reading in script.readings if reading.feature in features]
    found = {name: (name,) for name in features} if structure is None else tensor_paths(structure)
    inside = ENVELOPE_KEYS[:1] if figures is not None else ()
    paths = {reading.feature: reading.paths_in(enveloped) for reading in readings}
    reaches_all = all(found.get(name) in {(*inside, *path) for path in paths[name]} for name in paths)
    if reaches_all and (figures is not None or not _has_figures(found, structure)):
        return Nesting(structure, [], enveloped)
    node = _node({paths[name][0]: name for name in paths}, script.sequence)
    if figures is not None:
        node = {"dict": [[ENVELOPE_KEYS[0], node], [ENVELOPE_KEYS[1], figures]]}
    text = json.dumps(node, ensure_ascii=False, separators=(",", ":"))
    return Nesting(text, [reading.feature for reading in readings], enveloped)


def _outermost(structure: str) -> dict[Any, Any]:
    """Return the nodes of the outermost dict by key; nothing for any other value."""
    root = json.loads(structure)
    return {pair[0]: pair[1] for pair in root.get("dict", ())}


def _figures(structure: str) -> Any:
    """Return the node of the figures in an envelope; None for a structure that is none."""
    nodes = _outermost(structure)
    return nodes[ENVELOPE_KEYS[1]] if set(nodes) == set(ENVELOPE_KEYS) else None


def _has_figures(paths: Mapping[str, Keys], structure: str | None) -> bool:
    """Whether a sample has the key by which scripts tell an envelope, though it is none."""
    outermost = {path[0] for path in paths.values() if path} if structure is None else set(_outermost(structure))
    return ENVELOPE_KEYS[1] in outermost


def _node(paths: Mapping[Keys, str], sequence: str) -> dict[str, Any]:
    """Build the node of tensors by their paths; numbers count the items of a sequence."""
    if () in paths:
        return {"tensor": paths[()]}
    inner: dict[str, dict[Keys, str]] = {}
    for path, name in paths.items():
        inner.setdefault(path[0], {})[path[1:]] = name
    if all(key.isdecimal() for key in inner):
        return {sequence: [_node(inner[key], sequence) for key in sorted(inner, key=int)]}
    return {"dict": [[key, _node(below, sequence)] for key, below in inner.items()]}
