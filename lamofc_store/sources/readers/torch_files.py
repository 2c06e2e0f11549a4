"""Files of `torch.save`, compressed or not, as samples; those of a published family get that family's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lamofc_store.errors import Hint, SourceError
from lamofc_store.sample import ENVELOPE_KEYS, Keys, Sample, Scalar, patterns_by_axes
from lamofc_store.sources.contract import ALL_FEATURES, FeatureFilter
from lamofc_store.sources.families import FAMILIES, family_of
from lamofc_store.sources.readers.nested_sample import attributes_of, sample_of
from lamofc_store.sources.readers.torch_unpickle import load


def read(path: Path, name: str, features: FeatureFilter, family: str | None = None) -> Sample:
    """Read one sample from the object in a file."""
    return _sample_of_object(load(path), name, features, str(path), family)


def of_family(payload: Any, name: str, family: str) -> Sample:
    """Make a sample of an object in memory, as if it had been read from a file of its family."""
    return _sample_of_object(payload, name, ALL_FEATURES, f"sample {name!r}", family)


def _sample_of_object(saved: Any, name: str, features: FeatureFilter, where: str, family: str | None) -> Sample:
    """Make a sample: tensors by their family's names, or by dotted path; plain values are attributes."""
    payload, prefix = _payload(saved)
    naming = family_of(payload) if family is None else FAMILIES[family]
    names = (naming.names(payload) if naming is not None and isinstance(payload, Mapping) else None) or {}
    if family is not None and not names:
        keys = ", ".join(map(str, payload))[:120] if isinstance(payload, Mapping) else type(payload).__name__
        raise SourceError(
            f"{where} holds nothing of {family}: {keys}", Hint("give [format] auto, or the family that wrote it")
        )
    by_path = {(*prefix, *path): feature for path, feature in names.items()}

    def name_of(path: Keys) -> str:
        inside = path[: len(prefix)] == prefix
        return by_path.get(path) or ".".join(path[len(prefix) :] if inside else path)

    sample = sample_of(name, saved, features, where, name_of=name_of, ordered=bool(names))
    shapes = {feature: tensor.shape for feature, tensor in sample.features.items()}
    patterns = patterns_by_axes(shapes, naming.patterns) if naming is not None and names else {}
    bench_figures = _measured(saved) if prefix else {}
    return replace(sample, attributes={**sample.attributes, **bench_figures}, patterns=patterns)


def _measured(saved: Mapping[Any, Any]) -> dict[str, Scalar]:
    """Return the figures beside the features of an envelope; all as floats, because -1 stands for a missing one."""
    figures = attributes_of(saved.get(ENVELOPE_KEYS[1]), "codec_")
    return {key: float(value) if type(value) is int else value for key, value in figures.items()}


def _payload(saved: Any) -> tuple[Any, Keys]:
    """Return the object that holds the features, and the path to it."""
    inner = saved.get(ENVELOPE_KEYS[0]) if isinstance(saved, Mapping) else None
    if inner is not None and (set(saved) == set(ENVELOPE_KEYS) or family_of(inner) is not None):
        return inner, ENVELOPE_KEYS[:1]
    return saved, ()
