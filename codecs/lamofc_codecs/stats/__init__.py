"""Statistics of features and of coding errors, and the theory that predicts rates.

In: tensors of tokens x channels. Out: bounds of the bulk, sums, distortions, spreads, the step or the rate that reverse
water-filling predicts, and the groups of features whose joint coding saves bits."""

from lamofc_codecs.stats.bulk import BOUND_DEVIATIONS, Bulk
from lamofc_codecs.stats.channel_statistics import collect_statistics
from lamofc_codecs.stats.distortion import (
    NO_DISTORTION,
    Distortion,
    Sums,
    compute_sums,
    interpolate_distortion,
    item_distortions,
    measure_distortion,
    sum_by_item,
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
from lamofc_codecs.stats.reconstruction_offset import fit_offset, mean_offset
from lamofc_codecs.stats.step_solver import solve_step
from lamofc_codecs.stats.water_filling import WaterFilling, single_band

__all__ = [
    "BOUND_DEVIATIONS",
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
    "collect_statistics",
    "compute_sums",
    "doublings",
    "error_budget",
    "error_share",
    "find_groups",
    "fit_offset",
    "interpolate_distortion",
    "item_distortions",
    "mean_offset",
    "measure_distortion",
    "nearest_rate",
    "relative_bits",
    "round_step",
    "single_band",
    "solve_step",
    "sum_by_item",
    "total_distortion",
    "total_sums",
]
