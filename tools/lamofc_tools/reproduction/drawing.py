"""Draw a reproduction: performance against rate beside the printed curves, or distributions before and after coding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lamofc_store.errors import BadArgument
from lamofc_tools import plots
from lamofc_tools.comparison import is_performance
from lamofc_tools.reproduction.parts import DistributionPart, Inputs, Label, Plan
from lamofc_tools.reproduction.run import FilledBlock, Reproduction
from lamofc_tools.reproduction.tables import WHOLE

_RATES = ("EBPFP", "BPFP")


def check_drawing(plan: Plan, file: Path) -> None:
    """Refuse a plan that has nothing to draw, and a file that is no PNG by its name."""
    if file.suffix.lower() != ".png":
        raise BadArgument(f"{file} is no .png", "give a name that ends with .png")
    has_rates = any(set(_RATES) & set(block.figures) for block in plan.blocks)
    if not has_rates and not any(isinstance(part, DistributionPart) for part in plan.parts()):
        raise BadArgument(f"{plan.title} has nothing to draw", "draw a table of rates, or figure 2")


def draw(reproduction: Reproduction, inputs: Inputs, file: Path) -> list[Path]:
    """Write PNGs, and return their paths; distributions of each data set have a file of their own, named for it."""
    distributions = [part for part in reproduction.measured if isinstance(part, DistributionPart)]
    if distributions:
        return [_draw_distribution(part, inputs, file) for part in distributions]
    panels = {block.title: _curves(block) for block in reproduction.blocks}
    drawn = {title: curves for title, curves in panels.items() if curves}
    if not drawn:
        raise BadArgument(f"no point of {reproduction.title} is measured", "give one of the missing inputs")
    plots.draw_curves(drawn, ("bits per element", "performance, or squared error without one"), file)
    return [file]


def _draw_distribution(part: DistributionPart, inputs: Inputs, file: Path) -> Path:
    own = file.with_stem(f"{file.stem}-{part.coded.features.path.replace('/', '-')}")
    part.draw(inputs, own)
    return own


def _curves(block: FilledBlock) -> dict[str, list[tuple[float, float]]]:
    """Return the points of each codec, measured and printed."""
    rate = next((heading for heading in block.figures if heading in _RATES), None)
    judged = [heading for heading in block.figures if is_performance(heading) and heading != WHOLE]
    if rate is None:
        return {}
    curves: dict[str, list[tuple[float, float]]] = {}
    for heading in [*judged, "MSE"]:
        for row in block.rows:
            for suffix, numbers in (("", row.numbers), (", printed", row.printed)):
                point = _point(numbers, rate, heading)
                if point is not None and row.labels[-1] is not None and (row.in_curve or suffix):
                    curves.setdefault(f"{row.labels[0]}{suffix}", []).append(point)
        if any(not curve.endswith(", printed") for curve in curves):
            return curves
        curves = {}
    return {}


def _point(numbers: Mapping[str, Label], rate: str, heading: str) -> tuple[float, float] | None:
    x, y = numbers.get(rate), numbers.get(heading)
    return (float(x), float(y)) if isinstance(x, int | float) and isinstance(y, int | float) else None
