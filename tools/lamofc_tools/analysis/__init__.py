"""What features are like: how redundant, how spread, how far from Gaussian; nothing is coded."""

from lamofc_tools.analysis.figures import Figures, Gathered
from lamofc_tools.analysis.redundancy import Redundancy, cosine, redundancy

__all__ = ["Figures", "Gathered", "Redundancy", "cosine", "redundancy"]
