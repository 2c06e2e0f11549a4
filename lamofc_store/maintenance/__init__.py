"""Maintenance of a store: annotate, forget, compact, collect garbage, verify, log runs.

In: a session and what to change. Out: a commit, and a report of what was done."""

from lamofc_store.maintenance import bulk_rows
from lamofc_store.maintenance.annotation import annotate
from lamofc_store.maintenance.compaction import Compaction, compact
from lamofc_store.maintenance.forgetting import Forgotten, forget
from lamofc_store.maintenance.garbage_collection import Collection, collect
from lamofc_store.maintenance.run_log import Metric, add_run, config_text
from lamofc_store.maintenance.verification import Verification, verify

__all__ = [
    "Collection",
    "Compaction",
    "Forgotten",
    "Metric",
    "Verification",
    "add_run",
    "annotate",
    "bulk_rows",
    "collect",
    "compact",
    "config_text",
    "forget",
    "verify",
]
