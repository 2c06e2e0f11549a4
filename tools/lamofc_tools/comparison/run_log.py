"""A comparison in a store's catalog: each point is a run, so that one that was stopped goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import lamofc_store as lamofc
from lamofc_tools.comparison.measure import Found, Sample

_TEXTS = ("feature", "coder", "setting")
_OF_SAMPLES = [field.name for field in fields(Sample) if field.name != "sample"]
_OF_ALL = [field.name for field in fields(Found) if field.name not in (*_TEXTS, "each")]


def kept(store: lamofc.Store, found: Found, config: Mapping[str, Any]) -> str:
    """Commit a point: means under their names, figures of sample i under theirs with step i."""
    whole = {name: getattr(found, name) for name in _OF_ALL}
    metrics = [lamofc.Metric(name, value, found.feature) for name, value in whole.items() if value is not None]
    for number, sample in enumerate(found.each):
        metrics += [
            lamofc.Metric(f"sample.{name}", getattr(sample, name), found.feature, number) for name in _OF_SAMPLES
        ]
    name = f"{found.coder} {found.setting}".strip()
    seconds = found.fit_seconds + sum(one.encode_seconds + one.decode_seconds for one in found.each)
    return lamofc.add_run(store, "bench", name, config, metrics, seconds=seconds)


def found_before(store: lamofc.Store, config: Mapping[str, Any]) -> Found | None:
    """The point, if a run of the same config is there."""
    query = "SELECT run FROM runs WHERE kind = 'bench' AND config = ? ORDER BY started DESC LIMIT 1"
    rows = store.sql(query, [lamofc.config_text(config)]).fetchall()
    return _read(store, rows[0][0], config) if rows else None


def _read(store: lamofc.Store, run: str, config: Mapping[str, Any]) -> Found:
    rows = store.sql("SELECT name, step, value FROM metrics WHERE run = ?", [run]).fetchall()
    whole = dict.fromkeys(_OF_ALL) | {name: value for name, step, value in rows if step is None}
    each: dict[int, dict[str, float]] = {}
    for name, step, value in rows:
        if step is not None:
            each.setdefault(step, {})[name.removeprefix("sample.")] = value
    found = [Sample(sample=name, **each[number]) for number, name in enumerate(config["measured"])]  # type: ignore[arg-type]
    texts = {name: config[name] for name in _TEXTS}
    whole["samples"] = int(whole["samples"])
    return Found(**texts, **whole, each=tuple(found))
