"""Losses of the rest of a model by features that stores give back, at several rates on read.

In: the rest of a model behind a split, and stores with the features at the split. Out: a point for each store and rate,
with bits and the figures of the model's kind, kept as a run in a store's catalog where one is named.
"""

from lamofc_tools.evaluation.contract import Figure, FigureSet, RestOfModel, Tally
from lamofc_tools.evaluation.language_model import LanguageModel, TextOptions
from lamofc_tools.evaluation.media import DiffusionModel, EncoderModel, SpeechModel
from lamofc_tools.evaluation.opening import RestOptions, open_rest
from lamofc_tools.evaluation.points import ModelPoint, curves
from lamofc_tools.evaluation.rate_curve import evaluate_model_at_rates
from lamofc_tools.evaluation.stored_features import StoredFeatures

__all__ = [
    "DiffusionModel",
    "EncoderModel",
    "Figure",
    "FigureSet",
    "LanguageModel",
    "ModelPoint",
    "RestOfModel",
    "RestOptions",
    "SpeechModel",
    "StoredFeatures",
    "Tally",
    "TextOptions",
    "curves",
    "evaluate_model_at_rates",
    "open_rest",
]
