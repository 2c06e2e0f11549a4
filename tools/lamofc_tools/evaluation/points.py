"""Figures of one store at one rate, and the curves that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lamofc_tools.evaluation.contract import FigureSet


@dataclass(frozen=True)
class ModelPoint:
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

    def to_json(self) -> dict[str, Any]:
        """Return the fields as `--json` prints them."""
        return asdict(self)


def curves(points: Sequence[ModelPoint], figure_set: FigureSet) -> dict[str, list[tuple[str, float, float]]]:
    """Return for each loss, by its label, the curve, bits and loss of every point that loses anything at all."""
    return {
        figure.label: [
            (Path(point.store).name, point.bpfp + point.profile_bpfp, point.values[figure.name])
            for point in points
            if point.values.get(figure.name, 0) > 0
        ]
        for figure in figure_set.figures
        if figure.label is not None
    }
