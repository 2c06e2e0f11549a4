"""The evaluation scripts of LaMoFCBench: which files each opens, and which tensors it reads from them.

In: a sample's id, features and structure. Out: the name of its file and the structure that its script reads, or a
refusal that says what is missing; samples that a script's own list names."""

from lamofc_store.exporting.scripts.check import FileCheck
from lamofc_store.exporting.scripts.nesting import nest_for
from lamofc_store.exporting.scripts.registry import SCRIPTS, script_named
from lamofc_store.exporting.scripts.sample_lists import list_digest, read_sample_list, select_listed
from lamofc_store.exporting.scripts.script import Script, script_files

__all__ = [
    "SCRIPTS",
    "FileCheck",
    "Script",
    "list_digest",
    "nest_for",
    "read_sample_list",
    "script_files",
    "script_named",
    "select_listed",
]
