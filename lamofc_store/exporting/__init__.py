"""Export: samples out of a store as files that others read.

In: a store. Out: a folder with one file a sample, an index, and a marker."""

from lamofc_store import deprecation
from lamofc_store.exporting.atomic_file import atomic_file
from lamofc_store.exporting.formats import FORMATS, format_named, numpy_of
from lamofc_store.exporting.index import write_index
from lamofc_store.exporting.marker import claim
from lamofc_store.exporting.run import Exported, export
from lamofc_store.exporting.scripts import (
    SCRIPTS,
    Script,
    nest_for,
    read_sample_list,
    script_files,
    script_named,
    select_listed,
)
from lamofc_store.sources import export_files

__all__ = [
    "FORMATS",
    "SCRIPTS",
    "Exported",
    "Script",
    "atomic_file",
    "claim",
    "export",
    "export_files",
    "format_named",
    "nest_for",
    "numpy_of",
    "read_sample_list",
    "script_files",
    "script_named",
    "select_listed",
    "write_index",
]

_FORMER = {"files_of": "export_files", "whole": "atomic_file"}
__getattr__ = deprecation.former_exports(__name__, _FORMER)
