"""Runs in the catalog: the configuration of a training or a benchmark, and the numbers that it gave."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamofc_store.commits import Change, row_objects
from lamofc_store.errors import BadArgument
from lamofc_store.storage import new_ulid

if TYPE_CHECKING:
    from lamofc_store.session import Session


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a run."""

    name: str
    value: float
    feature: str | None = None
    step: int | None = None


def config_text(config: Mapping[str, Any]) -> str:
    """Write a config for the column `config` of runs: JSON with sorted keys, so that equal configs are equal texts."""
    try:
        return json.dumps(dict(config), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise BadArgument(f"the run's config is no JSON: {error}", "give texts, numbers, lists and mappings") from error


def add_run(
    store: Session,
    kind: str,
    name: str,
    config: Mapping[str, Any],
    metrics: Iterable[Metric],
    *,
    seconds: float | None = None,
) -> str:
    """Commit a run with its metrics; returns the id of the run."""
    import pyarrow as pa

    from lamofc_catalog import TABLES

    store.require_writable()
    run = new_ulid()
    rows = [
        {"run": run, "feature": metric.feature, "name": metric.name, "value": float(metric.value), "step": metric.step}
        for metric in metrics
    ]
    text = config_text(config)
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(store.storage.clock() - (seconds or 0)))
    row = {"run": run, "kind": kind, "name": name, "config": text, "started": started, "seconds": seconds}
    fields = [pa.field("started", pa.string()) if field.name == "started" else field for field in TABLES["runs"]]
    schema = pa.schema(fields)
    entries = [row_objects.write(store.storage, "runs", pa.Table.from_pylist([row], schema=schema))]
    if rows:
        entries.append(
            row_objects.write(store.storage, "metrics", pa.Table.from_pylist(rows, schema=TABLES["metrics"]))
        )
    store.publish(lambda head: Change(verb="run", adds=tuple(entries), note={"run": run, "metrics": len(rows)}))
    return run
