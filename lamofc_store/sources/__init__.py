"""Where samples come from: folders and files of tensors, tables of embeddings, any Python iterable."""

from lamofc_store.sources.families import CACHE
from lamofc_store.sources.files import find
from lamofc_store.sources.opening import FORMATS, open
from lamofc_store.sources.readers import (
    Source,
    Spread,
    Tolerant,
    Unreadable,
    Wanted,
    of_family,
    read_table,
    sample_id,
    spread_order,
)

__all__ = [
    "CACHE",
    "FORMATS",
    "Source",
    "Spread",
    "Tolerant",
    "Unreadable",
    "Wanted",
    "find",
    "of_family",
    "open",
    "read_table",
    "sample_id",
    "spread_order",
]
