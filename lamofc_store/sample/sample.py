"""What a source yields: one item of the source data with its named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from lamofc_store.errors import SourceError

if TYPE_CHECKING:
    import torch

OWN = ("sample", "structure")
"""Columns that are no attributes."""
_LARGEST = 1 << 63

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
    grids: Mapping[str, str] = field(default_factory=dict)
    """The token grid of features, `P+HxW`, where the source knows; the user's own grids go first."""

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
        for name, value in self.attributes.items():
            if name in OWN:
                raise SourceError(f"sample {self.id!r} has a column {name!r}, which the store has itself", "rename it")
            if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
                raise SourceError(f"sample {self.id!r}: {name} = {value:.3g} is more than 64 bits hold", "as a text")
        for text in (self.id, *self.features, *self.attributes, *self.attributes.values()):
            if isinstance(text, str) and not _is_unicode(text):
                raise SourceError(f"sample {self.id!r}: {text!r} is no Unicode text", "leave lone surrogates out")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
