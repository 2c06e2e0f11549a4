"""The figures of a kind of model: their names, and how tables and plots show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

UNBROKEN = "unbroken_"
"""Begins the name of a figure of the unbroken model, beside the one of the same name after coding."""


@dataclass(frozen=True)
class Figure:
    """One figure, and how it is shown."""

    name: str
    heading: str
    """Heading of its column in tables."""
    form: str = ".4f"
    """Format of the number in tables."""
    label: str | None = None
    """Label of its axis, if it is a loss that is drawn against bits."""


@dataclass(frozen=True)
class FigureSet:
    """The figures of a kind of model. Those that an evaluation does not have, such as accuracy, are left out."""

    unit: str
    """Noun of a sample: text, image, sound or prompt."""
    figures: tuple[Figure, ...]
    counts: Mapping[str, str] = field(default_factory=dict)
    """Counts by name, each with the words that follow the number."""
