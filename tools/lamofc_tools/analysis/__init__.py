"""Analysis of features before anything is coded: redundancy, distribution, and the gain that a transform promises.

In: planes, tokens x channels, from a source or a store. Out: a report for each feature, plots of distributions, and
figures of decoded values against the original ones.
"""

from lamofc_tools.analysis.decoded_values import Fidelity, compare_values, decoded_values, divergence
from lamofc_tools.analysis.feature_planes import source_planes, spread_samples, store_planes
from lamofc_tools.analysis.moments import Moments
from lamofc_tools.analysis.plots import SOURCE_LABEL, Curves, draw_distributions, labelled_curves, subsample
from lamofc_tools.analysis.redundancy import Redundancy, cosine_transform, measure_redundancy
from lamofc_tools.analysis.report import FeatureAnalysis, FeatureReport, SourceAnalysis, analyse_planes
from lamofc_tools.analysis.texture import Texture, measure_texture

__all__ = [
    "SOURCE_LABEL",
    "Curves",
    "FeatureAnalysis",
    "FeatureReport",
    "Fidelity",
    "Moments",
    "Redundancy",
    "SourceAnalysis",
    "Texture",
    "analyse_planes",
    "compare_values",
    "cosine_transform",
    "decoded_values",
    "divergence",
    "draw_distributions",
    "labelled_curves",
    "measure_redundancy",
    "measure_texture",
    "source_planes",
    "spread_samples",
    "store_planes",
    "subsample",
]
