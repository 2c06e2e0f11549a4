"""Bits at one divergence: the rate of each coder at which the answers to prefix and continuation are near enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lamofc_tools.benchmarks.frame import Column
from lamofc_tools.benchmarks.learning.peers.feature_coder import ALL, CACHES
from lamofc_tools.benchmarks.learning.readers.equal_loss import last_crossing

DIVERGENCES = {ALL: 0.05, CACHES: 0.01}
"""Divergence of the prefix and of the continuation, at the most, in nats; of caches alone, that of the continuation."""
COLUMNS = (
    Column("kl", "KL <=", ">6.2f"),
    Column("bits", "bits", ">7.3f"),
    Column("profile_bits", "profile", ">8.4f"),
)
_SAME = ("codec", "scope", "block", "tokens", "fit_texts")
"""Keys by which rows belong to one curve."""
_LEAST = 1e-9
"""A divergence that counts as none."""


def bits_at(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return for each curve the bits at the divergence of its scope; None where its rows are all above or below it.

    Between two rows bits are interpolated as by `equal_loss`, by the larger divergence of prefix and continuation.
    """
    curves: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        curves.setdefault(tuple(row[key] for key in _SAME), []).append(row)
    return [{**dict(zip(_SAME, key, strict=True)), **_crossing(curve)} for key, curve in curves.items()]


def _crossing(curve: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    kl = DIVERGENCES[curve[0]["scope"]]
    falling = sorted(curve, key=lambda row: -row["bits"])
    found = last_crossing([max(float(row["kl_prefix"]), float(row["kl_continued"]), _LEAST) for row in falling], kl)
    if found is None:
        return {"kl": kl, "bits": None, "profile_bits": None}
    place, share = found
    finer, coarser = falling[place : place + 2]
    return {"kl": kl, **{key: coarser[key] + share * (finer[key] - coarser[key]) for key in ("bits", "profile_bits")}}
