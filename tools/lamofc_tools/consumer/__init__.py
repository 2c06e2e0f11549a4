"""The rest of a language model as the consumer of features: what it feels of errors, and what it answers after them.

In: a model, texts and a block to split it after. Out: the metric of the rest of the model, by which a codec can weigh
errors; the rotary positions of its keys; and how far its answers to decoded features are from those to the original.
"""

from lamofc_tools.consumer.fidelity import Agreement, Decoded, Fidelity, FidelityMeter
from lamofc_tools.consumer.fisher import measure_metric, measure_metric_of_features
from lamofc_tools.consumer.metric import FLOOR, ModelMetric
from lamofc_tools.consumer.passages import CONTINUATION, PREFIX, TEXTS, Passages, cut_passages, usual_passages
from lamofc_tools.consumer.reader import USUAL_KL, Consumer
from lamofc_tools.consumer.rotary import find_rotary
from lamofc_tools.consumer.split import Split, feature_channels

__all__ = [
    "CONTINUATION",
    "FLOOR",
    "PREFIX",
    "TEXTS",
    "USUAL_KL",
    "Agreement",
    "Consumer",
    "Decoded",
    "Fidelity",
    "FidelityMeter",
    "ModelMetric",
    "Passages",
    "Split",
    "cut_passages",
    "feature_channels",
    "find_rotary",
    "measure_metric",
    "measure_metric_of_features",
    "usual_passages",
]
