"""Two runs of all budgets side by side: what became slower, in ratios."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_NOTICEABLE = 1.15
"""Ratio from which a figure counts as worse; those of two runs differ by some percent."""


def slower_than(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the claims whose figures are worse than before, each with the ratio; both are documents of `all`."""
    earlier = {row["claim"]: row for row in before["rows"] if row["value"]}
    for row in now["rows"]:
        old = earlier.get(row["claim"])
        if old is None or not row["value"]:
            continue
        ratio = row["value"] / old["value"]
        worse = ratio if row["at_most"] else 1 / ratio
        if worse >= _NOTICEABLE:
            yield row["claim"], worse
