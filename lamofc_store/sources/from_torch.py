"""Files of `torch.save`, compressed or not, as samples; what a known family wrote goes by that family's names."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import SourceError
from lamofc_store.sample import Sample, Scalar
from lamofc_store.sources.families import FAMILIES, Family, family_of
from lamofc_store.sources.saved import load
from lamofc_store.sources.source import Wanted
from lamofc_store.structure import Keys, flatten, is_plain, plain

if TYPE_CHECKING:
    import torch

ENVELOPE = ("features", "metadata")
"""Keys of what a codec's benchmark wrote: features as before, and what was measured."""


def read(path: Path, name: str, wanted: Wanted, family: str | None = None) -> Sample:
    """One sample of what a file holds."""
    return named(load(path), name, wanted, str(path), family)


def named(saved: Any, name: str, wanted: Wanted, where: str, family: str | None = None) -> Sample:
    """One sample: tensors by their family's names, or by dotted path; plain values are attributes."""
    payload, prefix = _payload(saved)
    found = family_of(payload) if family is None else FAMILIES[family]
    names = (found.names(payload) if found is not None and isinstance(payload, Mapping) else None) or {}
    if family is not None and not names:
        keys = ", ".join(map(str, payload))[:120] if isinstance(payload, Mapping) else type(payload).__name__
        raise SourceError(f"{where} holds nothing of {family}: {keys}", "--format auto, or the family that wrote it")
    known = {(*prefix, *place): told for place, told in names.items()}
    features, structure = flatten(
        saved, where, lambda place: known.get(place) or ".".join(place[len(prefix) :]), ordered=bool(names)
    )
    if not features:
        raise SourceError(f"{where} holds no tensor", "give tensors under names: {'layer.0': tensor}")
    picked = wanted.pick(features, where)
    whole = structure if len(picked) == len(features) else None
    return Sample(name, picked, _attributes(saved), whole, _patterns(found, picked) if names else {})


def of_family(payload: Any, name: str, family: str) -> Sample:
    """A sample of an object in memory, as if its family's file had been read."""
    return named(payload, name, Wanted(), f"sample {name!r}", family)


def _payload(saved: Any) -> tuple[Any, Keys]:
    """What holds the features, and the path to it."""
    if isinstance(saved, Mapping) and set(saved) == set(ENVELOPE):
        return saved[ENVELOPE[0]], ENVELOPE[:1]
    return saved, ()


def _attributes(saved: Any) -> dict[str, Scalar]:
    """Plain values of the outermost dict; those of what was measured as `codec_...`, the catalog has its own."""
    payload, prefix = _payload(saved)
    told, before = (saved[ENVELOPE[1]], "codec_") if prefix else (payload, "")
    if not isinstance(told, Mapping):
        return {}
    return {f"{before}{key}": plain(value) for key, value in told.items() if isinstance(key, str) and is_plain(value)}


def _patterns(family: Family | None, features: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Of the features for which the family tells one that fits their axes."""
    found: dict[str, str] = {}
    for name, tensor in features.items():
        for glob, pattern in family.patterns.items() if family is not None else ():
            if name not in found and fnmatchcase(name, glob) and len(pattern.split("->")[0].split()) == tensor.dim():
                found[name] = pattern
    return found
