"""Ingest: samples to features, features to records, records to segments and rows.

In: a source and options. Out: segments, committed one by one or left to the caller, and a report."""

from lamofc_store.ingest.options import Report, usual_quality
from lamofc_store.ingest.planning import fit_profiles, plan, prepared
from lamofc_store.ingest.run import Ingest
from lamofc_store.ingest.segment_rows import CLOSE_RECORDS, sample_rows

__all__ = [
    "CLOSE_RECORDS",
    "Ingest",
    "Report",
    "fit_profiles",
    "plan",
    "prepared",
    "sample_rows",
    "usual_quality",
]
