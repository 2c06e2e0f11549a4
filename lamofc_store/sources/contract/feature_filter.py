"""The features that a source yields, chosen by globs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from lamofc_store.errors import Hint, SourceNotFound

Value = TypeVar("Value")


@dataclass(frozen=True)
class FeatureFilter:
    """Globs over feature names; without any, all features pass."""

    globs: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        return not self.globs or any(fnmatchcase(name, glob) for glob in self.globs)

    def pick(self, tensors: Mapping[str, Value], where: str) -> dict[str, Value]:
        """Return those of `tensors` that pass; SourceError naming `where` if there are some and none passes."""
        picked = {name: value for name, value in tensors.items() if name in self}
        if tensors and not picked:
            raise SourceNotFound(
                f"{where} has no feature that matches {' '.join(self.globs)}: it has {', '.join(sorted(tensors)[:8])}",
                Hint("correct [features], or leave it out to take all"),
            )
        return picked


ALL_FEATURES = FeatureFilter()
