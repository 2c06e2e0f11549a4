"""Ingest: samples to items, items to records, records to segments, segments to commits.

In: a source and options. Out: segments, committed one by one or left to the caller, and a report. One way, phase by
phase: `request` (what is asked), `items`, `profiles`, `records`, and `run`, which conducts them."""

from lamofc_store.ingest.planning import fit_profiles, plan
from lamofc_store.ingest.records import CLOSE_RECORDS, sample_rows
from lamofc_store.ingest.request import FitProgress, IngestKeywords, Progress, Report, prepare, usual_quality
from lamofc_store.ingest.run import Ingest

__all__ = [
    "CLOSE_RECORDS",
    "FitProgress",
    "Ingest",
    "IngestKeywords",
    "Progress",
    "Report",
    "fit_profiles",
    "plan",
    "prepare",
    "sample_rows",
    "usual_quality",
]
