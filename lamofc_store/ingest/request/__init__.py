"""The request of an ingest, and its report.

In: a source and keyword arguments. Out: the source opened, its options checked, its table of columns read."""

from lamofc_store.ingest.request.options import IngestKeywords, IngestOptions, usual_quality
from lamofc_store.ingest.request.prepare import IngestRequest, attempts, prepare
from lamofc_store.ingest.request.report import FitProgress, Progress, Report

__all__ = [
    "FitProgress",
    "IngestKeywords",
    "IngestOptions",
    "IngestRequest",
    "Progress",
    "Report",
    "attempts",
    "prepare",
    "usual_quality",
]
