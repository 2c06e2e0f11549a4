"""The interface of a kind of model in an evaluation: its methods, its figures, and its inputs that are in a store.

In: a store and a source of its features. Out: the inputs, and the protocols that every kind of model fulfils.
"""

from lamofc_tools.evaluation.contract.figures import UNBROKEN, Figure, FigureSet
from lamofc_tools.evaluation.contract.rest_of_model import RestOfModel, Tally
from lamofc_tools.evaluation.contract.stored_inputs import find_stored_inputs, inputs_digest, recorded_extraction

__all__ = [
    "UNBROKEN",
    "Figure",
    "FigureSet",
    "RestOfModel",
    "Tally",
    "find_stored_inputs",
    "inputs_digest",
    "recorded_extraction",
]
