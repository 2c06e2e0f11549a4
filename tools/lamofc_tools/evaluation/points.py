"""Figures of one store at one rate, and the curves that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lamofc_tools.curve_points import CurvePoint
from lamofc_tools.evaluation.contract import FigureSet


@dataclass(frozen=True)
class ModelPoint(CurvePoint):
    """Figures of the rest of a model on the features of one store, read at one rate."""

    store: str
    rate: str
    """Quality on read: `whole`, or for example `snr_db=10`."""
    bpfp: float
    """Bits per element that were read, everything counted but the profiles."""
    profile_bpfp: float
    """Bits of the profiles per element, spread over 10 000 samples."""
    samples: int
    values: dict[str, float]
    """Figures by the names of the model's kind."""


def curves(points: Sequence[ModelPoint], figure_set: FigureSet) -> dict[str, list[tuple[str, float, float]]]:
    """Return for each loss, by its label, the name, bits and loss of each point of a curve that loses anything."""
    return {
        figure.label: [
            (Path(point.store).name, point.bpfp + point.profile_bpfp, point.values[figure.name])
            for point in points
            if point.in_curve and point.values.get(figure.name, 0) > 0
        ]
        for figure in figure_set.figures
        if figure.label is not None
    }
