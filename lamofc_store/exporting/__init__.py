"""Export: samples out of a store as files that others read."""

from lamofc_store.exporting.run import FORMATS, claim, export, files_of, format_named, numpy_of, whole, write_index

__all__ = [
    "FORMATS",
    "claim",
    "export",
    "files_of",
    "format_named",
    "numpy_of",
    "whole",
    "write_index",
]
