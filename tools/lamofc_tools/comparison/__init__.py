"""Codecs and coders of others on the same features: what each takes, loses, and costs."""

from lamofc_tools.comparison.compare import compare
from lamofc_tools.comparison.external_coders import PEERS, Zfp, Zstd
from lamofc_tools.comparison.measure import Found, against, measure
from lamofc_tools.comparison.operating_points import Point, grid
from lamofc_tools.comparison.paper_tables import paper_table
from lamofc_tools.comparison.peak_memory import beside, peak
from lamofc_tools.comparison.splits import Choice, Split, held_out_values, splits

__all__ = [
    "PEERS",
    "Choice",
    "Found",
    "Point",
    "Split",
    "Zfp",
    "Zstd",
    "against",
    "beside",
    "compare",
    "grid",
    "held_out_values",
    "measure",
    "paper_table",
    "peak",
    "splits",
]
