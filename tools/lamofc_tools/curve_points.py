"""Points of curves of rate: which of a store's records keep a point out of its codec's curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lamofc_store import Store

_COUNTS = """
SELECT
    count(DISTINCT sample) FILTER (WHERE records.codec <> profiles.codec) AS fallbacks,
    count(DISTINCT sample) FILTER (WHERE stored_bits > 8 * raw_bytes) AS expanded
FROM records
LEFT JOIN profiles ON records.profile = profiles.profile
WHERE sample IN (SELECT unnest(?)) AND feature IN (SELECT unnest(?))
"""


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """A point of a rate, with the samples whose records are no measure of the codec."""

    fallbacks: int
    """Samples with a record that is lossless, because the codec's would be larger or miss its quality."""
    expanded: int
    """Samples with a record that has more bits than its source."""

    @property
    def in_curve(self) -> bool:
        """Whether the point is one of the codec's curve: all samples are coded by it, to no more than their source."""
        return not (self.fallbacks or self.expanded)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as `--json` prints them."""
        return {**asdict(self), "in_curve": self.in_curve}


def count_larger_records(store: Store, samples: Sequence[str], features: Sequence[str]) -> dict[str, int]:
    """Count `fallbacks` and `expanded` among some samples of a store, by all layers that their records have."""
    relation = store.sql(_COUNTS, [list(samples), list(features)])
    return dict(zip(relation.columns, relation.fetchall()[0], strict=True))
