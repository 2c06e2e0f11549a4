"""Files of `torch.save`, compressed or not, as samples; what a known family wrote goes by that family's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import SourceError
from lamofc_store.sample import Sample
from lamofc_store.sources.families import FAMILIES, Family, family_of
from lamofc_store.sources.from_iterable import attributes_of, sample_of
from lamofc_store.sources.saved import load
from lamofc_store.sources.source import Wanted
from lamofc_store.structure import Keys

if TYPE_CHECKING:
    import torch

ENVELOPE = ("features", "metadata")
"""Keys of what a codec's benchmark wrote: features as before, and what was measured, which is told as `codec_...`."""


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

    def tell(place: Keys) -> str:
        return known.get(place) or ".".join(place[len(prefix) :])

    sample = sample_of(name, saved, wanted, where, tell=tell, ordered=bool(names))
    measured = {f"codec_{key}": value for key, value in attributes_of(saved[ENVELOPE[1]]).items()} if prefix else None
    patterns = _patterns(found, sample.features) if names else {}
    return replace(sample, attributes=sample.attributes if measured is None else measured, patterns=patterns)


def of_family(payload: Any, name: str, family: str) -> Sample:
    """A sample of an object in memory, as if its family's file had been read."""
    return named(payload, name, Wanted(), f"sample {name!r}", family)


def _payload(saved: Any) -> tuple[Any, Keys]:
    """What holds the features, and the path to it."""
    if isinstance(saved, Mapping) and set(saved) == set(ENVELOPE):
        return saved[ENVELOPE[0]], ENVELOPE[:1]
    return saved, ()


def _patterns(family: Family | None, features: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Of the features for which the family tells one that fits their axes."""
    found: dict[str, str] = {}
    for name, tensor in features.items():
        for glob, pattern in family.patterns.items() if family is not None else ():
            if name not in found and fnmatchcase(name, glob) and len(pattern.split("->")[0].split()) == tensor.dim():
                found[name] = pattern
    return found
