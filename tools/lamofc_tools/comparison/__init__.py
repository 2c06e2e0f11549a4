"""Codecs and coders of others on the same features: what each takes, loses, and costs."""

from lamofc_tools.comparison.grid import Point, grid
from lamofc_tools.comparison.measure import Found, against, measure
from lamofc_tools.comparison.peers import PEERS
from lamofc_tools.comparison.runs import found_before, kept
from lamofc_tools.comparison.splits import Split, splits

__all__ = ["PEERS", "Found", "Point", "Split", "against", "found_before", "grid", "kept", "measure", "splits"]
