"""A comparison in a store's catalog: each point is a run, so that one that was stopped goes on where it was."""

from __future__ import annotations

import json
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
    told = {**config, "samples": [sample.sample for sample in found.each]}
    name = f"{found.coder} {found.setting}".strip()
    seconds = found.fit_seconds + sum(one.encode_seconds + one.decode_seconds for one in found.each)
    return lamofc.add_run(store, "bench", name, told, metrics, seconds=seconds)


def found_before(store: lamofc.Store, config: Mapping[str, Any]) -> Found | None:
    """The point, if a run of the same config is there."""
    query = "SELECT run, config FROM runs WHERE kind = 'bench' ORDER BY started DESC"
    for run, text in store.sql(query).fetchall():
        told = json.loads(text)
        samples = told.pop("samples")
        if told == json.loads(json.dumps(dict(config))):
            return _read(store, run, samples, told)
    return None


def _read(store: lamofc.Store, run: str, samples: list[str], config: Mapping[str, Any]) -> Found:
    rows = store.sql("SELECT name, step, value FROM metrics WHERE run = ?", [run]).fetchall()
    whole = dict.fromkeys(_OF_ALL) | {name: value for name, step, value in rows if step is None}
    each: dict[int, dict[str, float]] = {}
    for name, step, value in rows:
        if step is not None:
            each.setdefault(step, {})[name.removeprefix("sample.")] = value
    found = [Sample(sample=name, **each[number]) for number, name in enumerate(samples)]  # type: ignore[arg-type]
    texts = {name: config[name] for name in _TEXTS}
    whole["samples"] = int(whole["samples"])
    return Found(**texts, **whole, each=tuple(found))
