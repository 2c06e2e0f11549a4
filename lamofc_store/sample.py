"""What a source yields: one item of the source data with its named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from lamofc_store.errors import SourceError

if TYPE_CHECKING:
    import torch

Scalar: TypeAlias = str | int | float | bool | bytes | None
"""A value of a sample column; dates and the like go in as text."""


@dataclass(frozen=True)
class Sample:
    """One item of the source data; tensors are borrowed from the source and never written to."""

    id: str
    """Any non-empty string, unique in its source; it is the key in the store."""
    features: Mapping[str, torch.Tensor]
    """One tensor a feature, in its own shape and dtype."""
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    """Columns of the `samples` table: labels, splits, prompts."""
    structure: str | None = None
    """JSON from `structure.flatten`, when the source nested its tensors; None for a flat mapping."""
    patterns: Mapping[str, str] = field(default_factory=dict)
    """How features become tokens x channels, where the source knows; the user's own patterns go first."""

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise SourceError(
                f"sample id {self.id!r} is not a non-empty string", "give each sample a text id; str(number) will do"
            )
        for name in self.features:
            if not isinstance(name, str) or not name:
                raise SourceError(
                    f"sample {self.id!r}: feature name {name!r} is not a non-empty string", "name each tensor by a text"
                )
