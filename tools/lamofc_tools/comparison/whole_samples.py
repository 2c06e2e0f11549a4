"""All tensors of a sample together, as the papers count a sample: one measurement for each point over all features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from lamofc_tools.comparison.measurement import (
    MEMORY_FIGURES,
    Fitted,
    Measurement,
    SampleFigures,
    summarise,
    with_memory,
)

WHOLE_SAMPLES = "whole samples"
"""Feature by which these measurements go."""


def whole_samples(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Combine the measurements of each point over its features; none for a single feature.

    Bits, errors and seconds of a sample are sums over its tensors, peaks of memory are the largest. Samples that lack
    a feature are left out.
    """
    points: dict[tuple[str, str], list[Measurement]] = {}
    for measurement in measurements:
        points.setdefault((measurement.coder, measurement.setting), []).append(measurement)
    return [found for parts in points.values() if len(parts) > 1 and (found := _combine(parts)) is not None]


def _combine(parts: Sequence[Measurement]) -> Measurement | None:
    by_sample = [{figures.sample: figures for figures in part.each} for part in parts]
    shared = [sample for sample in by_sample[0] if all(sample in figures for figures in by_sample)]
    if not shared:
        return None
    each = [_add(sample, [figures[sample] for figures in by_sample]) for sample in shared]
    elements = [sum(figures.elements for figures in part.each) / part.samples for part in parts]
    profiles = sum(part.profile_bpfp * count for part, count in zip(parts, elements, strict=True)) / sum(elements)
    seconds = sum(part.fit_seconds for part in parts)
    whole = summarise(Fitted(WHOLE_SAMPLES, parts[0].coder, parts[0].setting, profiles, seconds), each)
    peaks = {name: [getattr(part, name) for part in parts] for name in MEMORY_FIGURES}
    largest = {name: None if None in values else max(values) for name, values in peaks.items()}
    return with_memory(replace(whole, of_reference=_of_reference(parts, elements)), largest)


def _add(sample: str, tensors: Sequence[SampleFigures]) -> SampleFigures:
    """Sum the figures of the tensors of a sample."""
    names = [field.name for field in fields(SampleFigures) if field.name != "sample"]
    return SampleFigures(sample=sample, **{name: sum(getattr(one, name) for one in tensors) for name in names})


def _of_reference(parts: Sequence[Measurement], elements: Sequence[float]) -> float | None:
    """Return the bits of the reference at the errors of all features, as a ratio to those of this coder."""
    reference = total = 0.0
    for part, count in zip(parts, elements, strict=True):
        if part.of_reference is None:
            return None
        reference += part.of_reference * part.total * count
        total += part.total * count
    return reference / total
