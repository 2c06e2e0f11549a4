"""Analysis of features before anything is coded: redundancy, distribution, and the gain that a transform promises.

In: planes, tokens x channels, from a source or a store. Out: a report for each feature, and plots of distributions.
"""

from lamofc_tools.analysis.feature_planes import source_planes, spread_samples, store_planes
from lamofc_tools.analysis.moments import Moments
from lamofc_tools.analysis.plots import SOURCE_LABEL, Curves, draw_distributions, with_decoded
from lamofc_tools.analysis.redundancy import Redundancy, cosine_transform, measure_redundancy
from lamofc_tools.analysis.report import FeatureAnalysis, FeatureReport, SourceAnalysis, analyse_planes

__all__ = [
    "SOURCE_LABEL",
    "Curves",
    "FeatureAnalysis",
    "FeatureReport",
    "Moments",
    "Redundancy",
    "SourceAnalysis",
    "analyse_planes",
    "cosine_transform",
    "draw_distributions",
    "measure_redundancy",
    "source_planes",
    "spread_samples",
    "store_planes",
    "with_decoded",
]
