"""Squared gradients of a consumer's answers by the features that it read: by backward passes, or in closed form.

In: features that require gradients and the answer computed from them, or the tensors of an attention layer and of a
norm. Out: sums of g g' over the rows of each feature, channels x channels, and what is measured by them.
"""

from lamofc_tools.consumer.gradients.closed_forms import key_squares, norm_squares, value_squares
from lamofc_tools.consumer.gradients.deviations import Deviations
from lamofc_tools.consumer.gradients.draws import fisher_draws, generators_for, sign_draws
from lamofc_tools.consumer.gradients.square_sums import MeasuredMatrices, Reading, SquareSums

__all__ = [
    "Deviations",
    "MeasuredMatrices",
    "Reading",
    "SquareSums",
    "fisher_draws",
    "generators_for",
    "key_squares",
    "norm_squares",
    "sign_draws",
    "value_squares",
]
