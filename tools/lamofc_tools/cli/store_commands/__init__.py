"""Commands about stores, one file for each command or small family of commands.

In: options. Out: calls of the store's methods, and documents of their results.
"""

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
