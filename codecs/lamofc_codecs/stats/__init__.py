"""Statistics of features and of coding errors, and the theory that predicts rates.

In: tensors of tokens x channels. Out: bounds of the bulk, sums, distortions, spreads, the step or the rate that reverse
water-filling predicts, and which features are worth coding together."""

from lamofc_codecs.stats.bulk import DEVIATIONS, Bulk
from lamofc_codecs.stats.channel_statistics import statistics
from lamofc_codecs.stats.distortion import (
    NO_DISTORTION,
    Distortion,
    Sums,
    interpolate_distortion,
    item_distortions,
    measure_distortion,
    of_items,
    survey,
    total_distortion,
    total_sums,
)
from lamofc_codecs.stats.feature_grouping import Group, find_groups
from lamofc_codecs.stats.profile_match import relative_bits
from lamofc_codecs.stats.step_solver import solve
from lamofc_codecs.stats.water_filling import WaterFilling, of_columns

__all__ = [
    "DEVIATIONS",
    "NO_DISTORTION",
    "Bulk",
    "Distortion",
    "Group",
    "Sums",
    "WaterFilling",
    "find_groups",
    "interpolate_distortion",
    "item_distortions",
    "measure_distortion",
    "of_columns",
    "of_items",
    "relative_bits",
    "solve",
    "statistics",
    "survey",
    "total_distortion",
    "total_sums",
]
