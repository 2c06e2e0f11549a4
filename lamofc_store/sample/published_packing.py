"""Packing of features as the papers have it: patterns by feature, and the features that share a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lamofc_store.errors import BadArgument
from lamofc_store.sample.layout import pattern_for, patterns_by_axes

_CACHE = "b h t d -> (b t) (h d)"
_LAYERS = "n l t c -> (n t) (l c)"
_TASKS = {
    "cls": _LAYERS,
    "seg": _LAYERS,
    "csr": _LAYERS,
    "dpt": _LAYERS,
    "dpt.*": "n t c -> (n t) c",
    "tti": "n (r s) y x -> (n r y) (s x), s=4",
    "cnn": "(r s) y x -> (r y) (s x), s=32",
}
"""The packing of LaMoFC, which DT-UFC took over: samples below each other, layers side by side, channels as mosaics."""


@dataclass(frozen=True)
class Packing:
    """The packing of one paper."""

    patterns: Mapping[str, str] = field(default_factory=dict)
    """Pattern by glob over features, for those with as many axes."""
    groups: tuple[str, ...] = ()
    """Globs of features that lie side by side in one plane."""

    def patterns_for(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, str]:
        """Return the pattern of each feature that the paper packs."""
        return patterns_by_axes(shapes, self.patterns)

    def pattern_of(
        self, feature: str, shape: Sequence[int], patterns: Mapping[str, str], source_patterns: Mapping[str, str]
    ) -> str:
        """Select the pattern of a feature: the user's, or else the paper's, the source's, or the default."""
        return pattern_for(feature, shape, patterns, {**source_patterns, **self.patterns_for({feature: shape})})


PACKINGS: dict[str, Packing] = {
    "lamofcbench": Packing(
        {"*.k_cache": _CACHE, "*.v_cache": _CACHE, "layer.*": "b t c -> b t c", "vae.*": "mosaic"},
    ),
    "dt-ufc": Packing(_TASKS, ("dpt.*",)),
    "lamofc": Packing(_TASKS, ("dpt.*",)),
}


def published_packing(name: str | None) -> Packing:
    """Return the packing of a paper by its name; None has no packing of its own."""
    if name is None:
        return Packing()
    if name not in PACKINGS:
        raise BadArgument(f"as_published={name!r}", f"give one of {', '.join(PACKINGS)}")
    return PACKINGS[name]
