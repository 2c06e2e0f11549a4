"""Commands about stores, one file each."""

from lamofc_tools.cli.store_commands import annotate, export, fit, forget, get, ingest, inspect, maintain, sql

__all__ = [
    "annotate",
    "export",
    "fit",
    "forget",
    "get",
    "ingest",
    "inspect",
    "maintain",
    "sql",
]
