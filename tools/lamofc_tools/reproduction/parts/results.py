"""The store of finished parts, which makes a reproduction that was stopped go on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

import lamofc_store as lamofc
from lamofc_store import Metric, Store, add_run, config_text
from lamofc_tools.reproduction.parts.plan import Figures

_KIND = "reproduce"
_FIGURES = """
SELECT runs.config, metrics.name, metrics.value
FROM runs INNER JOIN metrics ON runs.run = metrics.run
WHERE runs.kind = ?
ORDER BY runs.started, runs.run
"""


def log_part(store: Store, name: str, config: Mapping[str, Any], figures: Figures, seconds: float) -> None:
    """Commit the figures of a part as a run."""
    add_run(store, _KIND, name, config, [Metric(*pair) for pair in sorted(figures.items())], seconds=seconds)


def finished_parts(store: Store) -> dict[str, dict[str, float]]:
    """Read the figures of all finished parts, by the text of their configs; of two runs the newer counts."""
    found: dict[str, dict[str, float]] = {}
    for config, name, value in store.sql(_FIGURES, [_KIND]).fetchall():
        found.setdefault(config, {})[name] = value
    return found


def open_runs(url: str, mode: Literal["r", "a"]) -> Store:
    """Open the store of finished parts; mode `a` creates it where there is none."""
    return lamofc.open(url, mode)


def config_digest(config: Mapping[str, Any]) -> str:
    """Return a short name of a config."""
    return hashlib.sha256(config_text(config).encode()).hexdigest()[:10]
