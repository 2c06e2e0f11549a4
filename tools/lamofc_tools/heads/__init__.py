"""Heads: models of a few layers that are trained on stored features, here or by others.

In: a store, the features to read and the target to predict. Out: a trained head as a file, its metrics at several rates
on read, and error weights by which a fit can spend bits where heads are sensitive.
"""

from lamofc_tools.heads.architectures import (
    HEADS,
    LinearHead,
    PooledHead,
    fit_linear,
    new_head,
    option_defaults,
)
from lamofc_tools.heads.contract import DECAYS, METERS, Head, Task, TrainingConfig, TrainingSet
from lamofc_tools.heads.error_weights import weights_for_heads
from lamofc_tools.heads.jacobian import combined_weights, sensitivity
from lamofc_tools.heads.published import PublishedHead, PublishedSource
from lamofc_tools.heads.rate_curve import HeadEvaluation, Protocol, RatePoint, cheapest_points, evaluate_at_rates
from lamofc_tools.heads.serialisation import is_trained_head, load, save
from lamofc_tools.heads.trainer import EpochLoss, HeadTraining, evaluate, pooled_rows, train

__all__ = [
    "DECAYS",
    "HEADS",
    "METERS",
    "EpochLoss",
    "Head",
    "HeadEvaluation",
    "HeadTraining",
    "LinearHead",
    "PooledHead",
    "Protocol",
    "PublishedHead",
    "PublishedSource",
    "RatePoint",
    "Task",
    "TrainingConfig",
    "TrainingSet",
    "cheapest_points",
    "combined_weights",
    "evaluate",
    "evaluate_at_rates",
    "fit_linear",
    "is_trained_head",
    "load",
    "new_head",
    "option_defaults",
    "pooled_rows",
    "save",
    "sensitivity",
    "train",
    "weights_for_heads",
]
