"""The rest of a language model as the consumer of features: what it feels of errors, and what it answers after them.

In: a model, texts and a block to split it after. Out: the metric of the rest of the model, by which a codec can weigh
errors; the rotary positions of its keys; and how far its answers to decoded features are from those to the original.
"""

from lamofc_tools.consumer.fidelity import Agreement, Decoded, Fidelity, FidelityMeter, FidelityTally
from lamofc_tools.consumer.fisher import measure_metric
from lamofc_tools.consumer.metric import FLOOR, ModelMetric
from lamofc_tools.consumer.questions import Question, QuestionTally
from lamofc_tools.consumer.rotary import find_rotary
from lamofc_tools.consumer.split import CONTINUATION, PREFIX, Passages, Split, cut_passages, token_ids

__all__ = [
    "CONTINUATION",
    "FLOOR",
    "PREFIX",
    "Agreement",
    "Decoded",
    "Fidelity",
    "FidelityMeter",
    "FidelityTally",
    "ModelMetric",
    "Passages",
    "Question",
    "QuestionTally",
    "Split",
    "cut_passages",
    "find_rotary",
    "measure_metric",
    "token_ids",
]
