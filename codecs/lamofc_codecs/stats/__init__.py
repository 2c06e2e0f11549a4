"""Statistics of features and of coding errors, and the theory that predicts rates.

In: tensors of tokens x channels. Out: bounds of the bulk, sums, distortions, spreads, the step or the rate that reverse
water-filling predicts, and which features are worth coding together."""

from lamofc_codecs.stats.bulk import Bulk
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
from lamofc_codecs.stats.rate_control import (
    MAX_ERROR_RATIO,
    DampedSteps,
    SearchTarget,
    SecantSteps,
    coarsest_within,
    doublings,
    error_budget,
    error_share,
    nearest_rate,
    round_step,
)
from lamofc_codecs.stats.reconstruction_offset import fit_offset
from lamofc_codecs.stats.step_solver import solve_step
from lamofc_codecs.stats.water_filling import WaterFilling, single_band

__all__ = [
    "MAX_ERROR_RATIO",
    "NO_DISTORTION",
    "Bulk",
    "DampedSteps",
    "Distortion",
    "Group",
    "SearchTarget",
    "SecantSteps",
    "Sums",
    "WaterFilling",
    "coarsest_within",
    "doublings",
    "error_budget",
    "error_share",
    "find_groups",
    "fit_offset",
    "interpolate_distortion",
    "item_distortions",
    "measure_distortion",
    "nearest_rate",
    "of_items",
    "relative_bits",
    "round_step",
    "single_band",
    "solve_step",
    "statistics",
    "survey",
    "total_distortion",
    "total_sums",
]
