"""Measure all points on all features; with a store, no point is measured twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import product

import lamofc_store as lamofc
from lamofc_tools.comparison.measurement import Measurement, measure, measure_reference
from lamofc_tools.comparison.operating_points import Point
from lamofc_tools.comparison.run_log import find_run, log_run
from lamofc_tools.comparison.splits import SampleSplit
from lamofc_tools.machine import machine


def compare(  # noqa: PLR0913 - one verb; the options are keywords
    splits: Sequence[SampleSplit],
    points: Sequence[Point],
    *,
    source: str,
    reference: Point | None = None,
    memory: bool = False,
    store: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Measurement]:
    """Measure each point on each split.

    `reference` is measured at the squared error of each point. `store` keeps every measurement as a run, under the name
    of the source, and those that it has are read instead of measured.
    """
    measurements: list[Measurement] = []
    with ExitStack() as stack:
        runs = stack.enter_context(lamofc.open(store, "a")) if store else None
        for split, point in product(splits, points):
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
            measurement = find_run(runs, config) if runs is not None else None
            if measurement is None:
                measurement = measure(point, split, memory=memory)
                if reference is not None and point.codec != reference.codec:
                    measurement = measure_reference(reference, measurement, split)
                if runs is not None:
                    log_run(runs, measurement, config)
            measurements.append(measurement)
            if progress is not None:
                progress(len(measurements), len(splits) * len(points), f"{point.coder} {point.setting}")
    return measurements
