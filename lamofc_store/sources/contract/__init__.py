"""The contract of sources: the protocols that a source of samples fulfils, and what readers of files share.

In: a file, or the names in it. Out: the features to take, ids of samples, errors that name the file."""

from lamofc_store.sources.contract.column import Column
from lamofc_store.sources.contract.feature_filter import ALL_FEATURES, FeatureFilter
from lamofc_store.sources.contract.foreign_files import reading
from lamofc_store.sources.contract.sample_ids import require_unique_ids, sample_id
from lamofc_store.sources.contract.source import (
    ListedSource,
    Source,
    Spreadable,
    Tolerant,
    UnreadableSample,
    may_be_read_ahead,
    spread_order,
)

__all__ = [
    "ALL_FEATURES",
    "Column",
    "FeatureFilter",
    "ListedSource",
    "Source",
    "Spreadable",
    "Tolerant",
    "UnreadableSample",
    "may_be_read_ahead",
    "reading",
    "require_unique_ids",
    "sample_id",
    "spread_order",
]
