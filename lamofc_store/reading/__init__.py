"""Reading: rows to byte ranges, ranges to records, records to tensors.

In: catalog rows, features, a quality. Out: tensors in their own shape and dtype; each byte range is checked once."""

from lamofc_store.reading import layer_selection
from lamofc_store.reading.decode_rows import (
    COLUMNS,
    ReadPlan,
    decoded,
    fetched,
    pooled,
    read,
    stacked,
    tensors,
    together,
)
from lamofc_store.reading.fetching import Places, fetch, requests

__all__ = [
    "COLUMNS",
    "Places",
    "ReadPlan",
    "decoded",
    "fetch",
    "fetched",
    "layer_selection",
    "pooled",
    "read",
    "requests",
    "stacked",
    "tensors",
    "together",
]
