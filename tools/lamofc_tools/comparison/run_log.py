"""Runs of a comparison in the catalog of a store, so that a comparison that was stopped can continue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import lamofc_store as lamofc
from lamofc_tools.comparison.measurement import Measurement, SampleFigures

_TEXT_FIELDS = ("feature", "coder", "setting")
_COUNTS = ("samples", "fallbacks", "expanded")
_SAMPLE_METRICS = [field.name for field in fields(SampleFigures) if field.name != "sample"]
_METRICS = [field.name for field in fields(Measurement) if field.name not in (*_TEXT_FIELDS, "each")]


def log_run(store: lamofc.Store, measurement: Measurement, config: Mapping[str, Any]) -> str:
    """Commit a measurement: means under their names, figures of sample i as `sample.NAME` with step i."""
    means = {name: getattr(measurement, name) for name in _METRICS}
    metrics = [lamofc.Metric(name, value, measurement.feature) for name, value in means.items() if value is not None]
    for number, sample in enumerate(measurement.each):
        metrics += [
            lamofc.Metric(f"sample.{name}", getattr(sample, name), measurement.feature, number)
            for name in _SAMPLE_METRICS
        ]
    name = f"{measurement.coder} {measurement.setting}".strip()
    seconds = measurement.fit_seconds + sum(
        sample.encode_seconds + sample.decode_seconds for sample in measurement.each
    )
    return lamofc.add_run(store, "bench", name, config, metrics, seconds=seconds)


def find_run(store: lamofc.Store, config: Mapping[str, Any]) -> Measurement | None:
    """Read the newest run with the same config; None if there is none, or if it lacks a figure of today's."""
    query = "SELECT run FROM runs WHERE kind = 'bench' AND config = ? ORDER BY started DESC LIMIT 1"
    rows = store.sql(query, [lamofc.config_text(config)]).fetchall()
    return _read_run(store, rows[0][0], config) if rows else None


def _read_run(store: lamofc.Store, run: str, config: Mapping[str, Any]) -> Measurement | None:
    rows = store.sql("SELECT name, step, value FROM metrics WHERE run = ?", [run]).fetchall()
    means = dict.fromkeys(_METRICS) | {name: value for name, step, value in rows if step is None}
    each: dict[int, dict[str, float]] = {}
    for name, step, value in rows:
        if step is not None:
            each.setdefault(step, {})[name.removeprefix("sample.")] = value
    if any(set(figures) != set(_SAMPLE_METRICS) for figures in each.values()):
        return None
    samples = [SampleFigures(sample=name, **each[number]) for number, name in enumerate(config["measured"])]  # type: ignore[arg-type]
    texts = {name: config[name] for name in _TEXT_FIELDS}
    counts = {name: int(means[name]) for name in _COUNTS}
    return Measurement(**texts, **{**means, **counts}, each=tuple(samples))
