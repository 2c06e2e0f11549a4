"""What features are like: how redundant, how spread, how far from Gaussian; nothing is coded."""

from lamofc_tools.analysis.feature_planes import from_all_over, of_source, of_store
from lamofc_tools.analysis.plots import draw, some
from lamofc_tools.analysis.redundancy import Redundancy, cosine, redundancy
from lamofc_tools.analysis.report import Figures, Gathered

__all__ = [
    "Figures",
    "Gathered",
    "Redundancy",
    "cosine",
    "draw",
    "from_all_over",
    "of_source",
    "of_store",
    "redundancy",
    "some",
]
