"""All points on all features, one after another; with a store, none of them twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import product

import lamofc_store as lamofc
from lamofc_tools.comparison.measure import Found, against, measure
from lamofc_tools.comparison.operating_points import Point
from lamofc_tools.comparison.run_log import found_before, kept
from lamofc_tools.comparison.splits import Split
from lamofc_tools.machine import machine


def compare(  # noqa: PLR0913 - one verb; the options are keywords
    parts: Sequence[Split],
    points: Sequence[Point],
    *,
    source: str,
    reference: Point | None = None,
    memory: bool = False,
    store: str | None = None,
    tell: Callable[[int, int, str], None] | None = None,
) -> list[Found]:
    """Measure. `reference` is set beside each point, at its error; `store` keeps all, under the source's name."""
    done: list[Found] = []
    with ExitStack() as opened:
        runs = opened.enter_context(lamofc.open(store, "a")) if store else None
        for split, point in product(parts, points):
            config = {
                "source": source,
                "feature": split.feature,
                "coder": point.coder,
                "setting": point.setting,
                "point": point.to_json(),
                "fitted": len(split.train),
                "measured": split.samples,
                "reference": None if reference is None else reference.to_json(),
                "memory": memory,
                "machine": machine(),
            }
            found = found_before(runs, config) if runs is not None else None
            if found is None:
                found = measure(point, split, memory=memory)
                if reference is not None and point.codec != reference.codec:
                    found = against(reference, found, split)
                if runs is not None:
                    kept(runs, found, config)
            done.append(found)
            if tell is not None:
                tell(len(done), len(parts) * len(points), f"{point.coder} {point.setting}")
    return done
