"""Reading, in four steps: plan, fetch, decode, restore.

In: catalog rows, features, a quality. Out: tensors in their own shape and dtype. A plan says where the records lie and
how each tensor is restored; a record is fetched and checked once, however many tensors share it."""

from lamofc_store.reading import layer_selection
from lamofc_store.reading.block_cache import BlockCache
from lamofc_store.reading.decoding import decode_pooled, decode_stacked, decode_tensors
from lamofc_store.reading.fetching import FetchedRecords, count_requests, fetch_plan, fetch_records
from lamofc_store.reading.read_plan import PLAN_COLUMNS, ReadPlan, RecordLocations
from lamofc_store.reading.read_sample import read_plan, read_sample

__all__ = [
    "PLAN_COLUMNS",
    "BlockCache",
    "FetchedRecords",
    "ReadPlan",
    "RecordLocations",
    "count_requests",
    "decode_pooled",
    "decode_stacked",
    "decode_tensors",
    "fetch_plan",
    "fetch_records",
    "layer_selection",
    "read_plan",
    "read_sample",
]
