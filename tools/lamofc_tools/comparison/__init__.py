"""Codecs and coders of others on the same features: what each takes, loses, and costs."""

from lamofc_tools.comparison.compare import compare
from lamofc_tools.comparison.grid import Point, grid
from lamofc_tools.comparison.measure import Found, against, measure
from lamofc_tools.comparison.peers import PEERS
from lamofc_tools.comparison.splits import Choice, Split, held_out_values, splits

__all__ = [
    "PEERS",
    "Choice",
    "Found",
    "Point",
    "Split",
    "against",
    "compare",
    "grid",
    "held_out_values",
    "measure",
    "splits",
]
