"""A sample: one item of the source data with its named tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from lamofc_store.errors import SourceError

if TYPE_CHECKING:
    import torch

RESERVED_COLUMNS = ("sample", "structure")
"""Columns of the table `samples` that are the store's own."""
FIRST_POSITION = "first_position"
"""Attribute of a sample that says where in its sequence its features begin."""
_INT64_LIMIT = 1 << 63

Scalar: TypeAlias = str | int | float | bool | bytes | None
"""A value of a sample column; dates are stored as text."""


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
    """JSON from `structure.flatten` where the source nested its tensors; None for a flat mapping."""
    patterns: Mapping[str, str] = field(default_factory=dict)
    """The source's own patterns, by feature; the user's patterns go first."""
    grids: Mapping[str, str] = field(default_factory=dict)
    """The source's own token grids `P+HxW`, by feature; the user's grids go first."""
    first_positions: Mapping[str, int] = field(default_factory=dict)
    """Position of the first token in its sequence, by feature, for caches that begin late. For features that are not
    named the attribute `first_position` counts, and 0 without one."""

    def first_position(self, feature: str) -> int:
        """Return the position in its sequence of the first token of a feature."""
        position = self.first_positions.get(feature, self.attributes.get(FIRST_POSITION))
        if position is None:
            return 0
        whole = isinstance(position, int | float) and not isinstance(position, bool) and position == position // 1
        if not whole or not 0 <= float(position) < math.inf:
            raise SourceError(
                f"sample {self.id!r}, feature {feature!r}: {FIRST_POSITION} = {position!r} is no position of a token",
                f"give a whole number from 0 on, or rename the column {FIRST_POSITION} if it says something else",
            )
        return int(position)

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
            if name in RESERVED_COLUMNS:
                raise SourceError(
                    f"sample {self.id!r} has a column {name!r}, which the store has itself",
                    "give the column another name",
                )
            if isinstance(value, int) and not -_INT64_LIMIT <= value < _INT64_LIMIT:
                raise SourceError(
                    f"sample {self.id!r}: {name} = {value:.3g} is more than 64 bits hold", "give it as a text"
                )
        for text in (self.id, *self.features, *self.attributes, *self.attributes.values()):
            if isinstance(text, str) and not _is_unicode(text):
                raise SourceError(f"sample {self.id!r}: {text!r} is no Unicode text", "leave lone surrogates out")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
