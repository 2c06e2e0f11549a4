"""Files of `torch.save`, compressed or not, as samples; what a known family wrote goes by that family's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import Hint, SourceError
from lamofc_store.sample import ENVELOPE_KEYS, Keys, Sample, Scalar
from lamofc_store.sources.families import FAMILIES, Family, family_of
from lamofc_store.sources.readers.iterable import attributes_of, sample_of
from lamofc_store.sources.readers.protocols import Wanted
from lamofc_store.sources.readers.torch_unpickle import load

if TYPE_CHECKING:
    import torch


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
        raise SourceError(
            f"{where} holds nothing of {family}: {keys}", Hint("give [format] auto, or the family that wrote it")
        )
    known = {(*prefix, *place): told for place, told in names.items()}

    def tell(place: Keys) -> str:
        inside = place[: len(prefix)] == prefix
        return known.get(place) or ".".join(place[len(prefix) :] if inside else place)

    sample = sample_of(name, saved, wanted, where, tell=tell, ordered=bool(names))
    patterns = _patterns(found, sample.features) if names else {}
    measured = _measured(saved) if prefix else {}
    return replace(sample, attributes={**sample.attributes, **measured}, patterns=patterns)


def _measured(saved: Mapping[Any, Any]) -> dict[str, Scalar]:
    """Figures are real numbers, also where one is missing and -1 stands for it."""
    told = attributes_of(saved.get(ENVELOPE_KEYS[1]), "codec_")
    return {key: float(value) if type(value) is int else value for key, value in told.items()}


def of_family(payload: Any, name: str, family: str) -> Sample:
    """A sample of an object in memory, as if its family's file had been read."""
    return named(payload, name, Wanted(), f"sample {name!r}", family)


def _payload(saved: Any) -> tuple[Any, Keys]:
    """What holds the features, and the path to it."""
    inner = saved.get(ENVELOPE_KEYS[0]) if isinstance(saved, Mapping) else None
    if inner is not None and (set(saved) == set(ENVELOPE_KEYS) or family_of(inner) is not None):
        return inner, ENVELOPE_KEYS[:1]
    return saved, ()


def _patterns(family: Family | None, features: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Of the features for which the family tells one that fits their axes."""
    found: dict[str, str] = {}
    for name, tensor in features.items():
        for glob, pattern in family.patterns.items() if family is not None else ():
            if name not in found and fnmatchcase(name, glob) and len(pattern.split("->")[0].split()) == tensor.dim():
                found[name] = pattern
    return found
