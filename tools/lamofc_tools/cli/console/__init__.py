"""The edge of the command line: options and their values, output as text or JSON, errors, progress bars.

In: the words of a command line. Out: keyword arguments for the library, and text, documents and exit codes from its
results and exceptions.
"""

from lamofc_tools.cli.console import tensor_files
from lamofc_tools.cli.console.consumer_options import (
    ConsumerOptions,
    ReplayOptions,
    SourceConsumerOptions,
    for_consumer,
    plan_floats,
    require_consumer,
    require_klt,
    with_codec_options,
    with_rotations,
)
from lamofc_tools.cli.console.errors import CORRUPT, CliError, error_of
from lamofc_tools.cli.console.findings import Findings
from lamofc_tools.cli.console.flatten import flatten_options
from lamofc_tools.cli.console.options import (
    AsPublished,
    CodingOptions,
    Device,
    DryRun,
    FeatureGlobs,
    Groups,
    HeadWeightOptions,
    OnError,
    OutputFile,
    Patterns,
    RatedReadOptions,
    ReadOptions,
    RunStore,
    SampleId,
    SamplesFrom,
    SourceOptions,
    SourcePath,
    StoreUrl,
    Where,
    WriteOptions,
)
from lamofc_tools.cli.console.output import Amount, Output, cell, has_colour, json_rows, print_error, table
from lamofc_tools.cli.console.progress import Bar
from lamofc_tools.cli.console.rate_options import RateOptions
from lamofc_tools.cli.console.rotary_values import parse_rotary, require_stated
from lamofc_tools.cli.console.tensor_files import file_name
from lamofc_tools.cli.console.values import (
    file_to_write,
    half_warnings,
    load_profile,
    parse_json_pairs,
    parse_pairs,
    parse_patterns,
    parse_range,
    require_folder,
    resolve_device,
)

__all__ = [
    "CORRUPT",
    "Amount",
    "AsPublished",
    "Bar",
    "CliError",
    "CodingOptions",
    "ConsumerOptions",
    "Device",
    "DryRun",
    "FeatureGlobs",
    "Findings",
    "Groups",
    "HeadWeightOptions",
    "OnError",
    "Output",
    "OutputFile",
    "Patterns",
    "RateOptions",
    "RatedReadOptions",
    "ReadOptions",
    "ReplayOptions",
    "RunStore",
    "SampleId",
    "SamplesFrom",
    "SourceConsumerOptions",
    "SourceOptions",
    "SourcePath",
    "StoreUrl",
    "Where",
    "WriteOptions",
    "cell",
    "error_of",
    "file_name",
    "file_to_write",
    "flatten_options",
    "for_consumer",
    "half_warnings",
    "has_colour",
    "json_rows",
    "load_profile",
    "parse_json_pairs",
    "parse_pairs",
    "parse_patterns",
    "parse_range",
    "parse_rotary",
    "plan_floats",
    "print_error",
    "require_consumer",
    "require_folder",
    "require_klt",
    "require_stated",
    "resolve_device",
    "table",
    "tensor_files",
    "with_codec_options",
    "with_rotations",
]
