"""Points as runs of a catalog, so that an evaluation that was stopped continues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lamofc_store import Metric, Store, add_run, config_text
from lamofc_tools.evaluation.points import ModelPoint

_KIND = "eval"
_RATES = ("bpfp", "profile_bpfp")


def log_point(store: Store, name: str, config: Mapping[str, Any], point: ModelPoint) -> None:
    """Commit a point: its figures and rates as metrics."""
    values = {**point.values, **{rate: getattr(point, rate) for rate in _RATES}}
    add_run(store, _KIND, name, config, [Metric(metric, value) for metric, value in values.items()])


def find_values(store: Store | None, config: Mapping[str, Any]) -> dict[str, float] | None:
    """Read the figures of the newest run with the same config; None if there is none."""
    if store is None:
        return None
    query = (
        "SELECT name, value FROM metrics WHERE run = (SELECT run FROM runs WHERE kind = ? AND config = ?"
        " ORDER BY started DESC, run DESC LIMIT 1)"
    )
    rows = store.sql(query, [_KIND, config_text(config)]).fetchall()
    return {name: value for name, value in rows if name not in _RATES} or None
