"""Items: the features of a sample, ready for a codec.

In: a sample and the options of an ingest. Out: an item for each feature, as tokens x channels, and the items that share
a record."""

from lamofc_store.ingest.items.feature_groups import (
    AUTO,
    by_feature,
    by_group_name,
    globs_of_groups,
    globs_of_names,
    group_index,
    group_items,
    group_name,
)
from lamofc_store.ingest.items.feature_items import Item, items_of

__all__ = [
    "AUTO",
    "Item",
    "by_feature",
    "by_group_name",
    "globs_of_groups",
    "globs_of_names",
    "group_index",
    "group_items",
    "group_name",
    "items_of",
]
