"""Figures of one store at one rate, and the curves that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PANELS = {"kl_prefix": "prefix", "kl_continued": "continuation"}
"""Divergences that are drawn against bits, each with the title of its panel."""


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
    """Figures by name: `kl_prefix`, `top1_continued`, `accuracy` and others."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as `--json` prints them."""
        return asdict(self)


def curves(points: Sequence[ModelPoint]) -> dict[str, list[tuple[str, float, float]]]:
    """Return for each panel the curve, bits and divergence of every point that diverges at all."""
    return {
        title: [
            (Path(point.store).name, point.bpfp + point.profile_bpfp, point.values[key])
            for point in points
            if point.values.get(key, 0) > 0
        ]
        for key, title in PANELS.items()
    }
