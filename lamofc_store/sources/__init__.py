"""Sources of samples: folders and files of tensors, tables of embeddings, any Python iterable.

In: a path or an iterable. Out: samples, one at a time."""

from lamofc_store import deprecation
from lamofc_store.sources.attribute_table import read_table
from lamofc_store.sources.contract import (
    FeatureFilter,
    ListedSource,
    Source,
    Spreadable,
    Tolerant,
    UnreadableSample,
    may_be_read_ahead,
    sample_id,
    spread_order,
)
from lamofc_store.sources.exports import INDEX, SCRIPT_KEY, export_files
from lamofc_store.sources.families import CACHE
from lamofc_store.sources.files import find
from lamofc_store.sources.formats import FORMATS
from lamofc_store.sources.opening import open
from lamofc_store.sources.readers import of_family

__all__ = [
    "CACHE",
    "FORMATS",
    "INDEX",
    "SCRIPT_KEY",
    "FeatureFilter",
    "ListedSource",
    "Source",
    "Spreadable",
    "Tolerant",
    "UnreadableSample",
    "export_files",
    "find",
    "may_be_read_ahead",
    "of_family",
    "open",
    "read_table",
    "sample_id",
    "spread_order",
]

_FORMER = {"Spread": "Spreadable", "Unreadable": "UnreadableSample", "Wanted": "FeatureFilter"}
__getattr__ = deprecation.former_exports(__name__, _FORMER)
