"""Where samples come from: folders and files of tensors, tables of embeddings, any Python iterable."""

from lamofc_store.sources.families import CACHE
from lamofc_store.sources.folder import find, sample_id
from lamofc_store.sources.from_torch import of_family
from lamofc_store.sources.opening import FORMATS, open
from lamofc_store.sources.source import Source, Spread, Tolerant, Unreadable, Wanted, spread_order
from lamofc_store.sources.table import read_table

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
