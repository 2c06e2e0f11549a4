"""Comparison of codecs and external coders on the same features: rate, distortion, time and memory.

In: a source, split into samples to fit on and samples to measure, and points (a coder with one setting). Out: a
measurement for each point and feature, kept as a run in a store's catalog where one is named.
"""

from lamofc_tools.comparison.comparison_run import compare
from lamofc_tools.comparison.correlations import Correlation, paper_correlations, pearson
from lamofc_tools.comparison.external_coders import PEERS, Zfp, Zstd
from lamofc_tools.comparison.measurement import (
    PROFILE_SAMPLES,
    Measurement,
    b_max_mbps,
    measure,
    measure_reference,
    spread_profile,
)
from lamofc_tools.comparison.operating_points import Point, list_points, published_qualities
from lamofc_tools.comparison.paper_tables import columns_of, is_performance, paper_table
from lamofc_tools.comparison.peak_memory import coding_memory, decoding_memory, gpu_memory
from lamofc_tools.comparison.splits import Choice, SampleSplit, held_out_values, split_source
from lamofc_tools.comparison.whole_samples import WHOLE_SAMPLES, whole_samples
from lamofc_tools.deprecated_names import former_names

__all__ = [
    "PEERS",
    "PROFILE_SAMPLES",
    "WHOLE_SAMPLES",
    "Choice",
    "Correlation",
    "Measurement",
    "Point",
    "SampleSplit",
    "Zfp",
    "Zstd",
    "b_max_mbps",
    "coding_memory",
    "columns_of",
    "compare",
    "decoding_memory",
    "gpu_memory",
    "held_out_values",
    "is_performance",
    "list_points",
    "measure",
    "measure_reference",
    "paper_correlations",
    "paper_table",
    "pearson",
    "published_qualities",
    "split_source",
    "spread_profile",
    "whole_samples",
]

FORMER_NAMES = {"Split": "SampleSplit"}
__getattr__ = former_names(__name__, FORMER_NAMES)


def __dir__() -> list[str]:
    return __all__
