"""Bits at one divergence: the rate of each coder at which the answers to prefix and continuation are near enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lamofc_tools.benchmarks.frame import Column
from lamofc_tools.benchmarks.learning.readers.equal_loss import last_crossing

DIVERGENCE = 0.05
"""Divergence of the prefix and of the continuation, at the most, in nats."""
BITS_COLUMN = Column("bits", f"bits at KL <= {DIVERGENCE:g}", ">18.3f")
_SAME = ("codec", "scope", "block", "tokens", "fit_texts")
"""Keys by which rows belong to one curve."""
_LEAST = 1e-9
"""A divergence that counts as none."""


def bits_at(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each curve the bits at the divergence; None where its rows are all above or all below it.

    Between two rows bits are interpolated by the logarithm of the larger divergence of prefix and continuation. Where
    a curve crosses several times, the last one counts, as all finer rates keep the divergence.
    """
    curves: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        curves.setdefault(tuple(row[key] for key in _SAME), []).append(row)
    return [{**dict(zip(_SAME, key, strict=True)), **_crossing(curve)} for key, curve in curves.items()]


def _crossing(curve: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    falling = sorted(curve, key=lambda row: -row["bits"])
    found = last_crossing([_divergence(row) for row in falling], DIVERGENCE)
    if found is None:
        return {"bits": None, "profile_bits": None}
    place, share = found
    finer, coarser = falling[place : place + 2]
    return {key: coarser[key] + share * (finer[key] - coarser[key]) for key in ("bits", "profile_bits")}


def _divergence(row: Mapping[str, Any]) -> float:
    return max(float(row["kl_prefix"]), float(row["kl_continued"]), _LEAST)
