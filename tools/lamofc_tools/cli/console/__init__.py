"""The command line's edge: option types, output as text or JSON, errors with hints, progress bars."""

from lamofc_tools.cli.console import tensor_files
from lamofc_tools.cli.console.errors import CORRUPT, CliError, trouble
from lamofc_tools.cli.console.options import (
    Aware,
    Coding,
    DryRun,
    FeatureGlobs,
    Groups,
    OnError,
    OutputFile,
    RatedReading,
    Reading,
    SampleId,
    SourcePath,
    StorePlace,
    Taking,
    Where,
    Writing,
    device_of,
    flat,
    pairs,
    profile,
)
from lamofc_tools.cli.console.output import Amount, Output, cell, has_colour, json_rows, table, tell
from lamofc_tools.cli.console.progress import Bar
from lamofc_tools.cli.console.tensor_files import file_name

__all__ = [
    "CORRUPT",
    "Amount",
    "Aware",
    "Bar",
    "CliError",
    "Coding",
    "DryRun",
    "FeatureGlobs",
    "Groups",
    "OnError",
    "Output",
    "OutputFile",
    "RatedReading",
    "Reading",
    "SampleId",
    "SourcePath",
    "StorePlace",
    "Taking",
    "Where",
    "Writing",
    "cell",
    "device_of",
    "file_name",
    "flat",
    "has_colour",
    "json_rows",
    "pairs",
    "profile",
    "table",
    "tell",
    "tensor_files",
    "trouble",
]
