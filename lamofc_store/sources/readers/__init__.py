"""One reader a file format, and the protocols that a source of samples fulfils.

In: a path. Out: tensors of one sample, or the stacked columns of many."""

from lamofc_store.sources.readers import compressai_vision, lamofc_npy, numpy_files, safetensors_files, torch_files
from lamofc_store.sources.readers.attribute_table import read_table
from lamofc_store.sources.readers.column import Column
from lamofc_store.sources.readers.iterable import Items
from lamofc_store.sources.readers.parquet_files import Tables
from lamofc_store.sources.readers.protocols import (
    ALL,
    Source,
    Spread,
    Tolerant,
    Unreadable,
    Wanted,
    only_once,
    spread_order,
)
from lamofc_store.sources.readers.sample_ids import sample_id
from lamofc_store.sources.readers.torch_files import of_family

__all__ = [
    "ALL",
    "Column",
    "Items",
    "Source",
    "Spread",
    "Tables",
    "Tolerant",
    "Unreadable",
    "Wanted",
    "compressai_vision",
    "lamofc_npy",
    "numpy_files",
    "of_family",
    "only_once",
    "read_table",
    "safetensors_files",
    "sample_id",
    "spread_order",
    "torch_files",
]
