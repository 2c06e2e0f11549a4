"""The rest of a model as the consumer of features: what it feels of errors, and what it answers after them.

In: a model, its inputs and a block to split it after. Out: the metric of the rest of the model, by which a codec can
weigh errors; the rotary positions of its keys; and how far its answers to decoded features are from those to the
original. `measure_consumer` finds the metric of any kind of model:

- decoders with attention: Fisher matrices of hidden states, keys and values, by labels drawn at every token;
- state-space models: the same of hidden states and of the states that blocks keep;
- encoders with a head, as of classes, or with a decoder that reads them, as Whisper: Fisher matrices of hidden states;
- other encoders, and Stable Diffusion 3: J'J of final states, of the denoiser's answers, or of pictures. These have no
  likelihood, so that the metric gives no nats but a change relative to their variance.
"""

from lamofc_tools.consumer.answers import (
    ANSWER,
    Agreement,
    AnswerSums,
    Decoded,
    Fidelity,
    FidelityMeter,
    FidelityTally,
    Question,
    QuestionTally,
    Replay,
    ReplayedSample,
    SharedReplay,
)
from lamofc_tools.consumer.closed_form import closed_form_metric
from lamofc_tools.consumer.decoder import (
    CONTINUATION,
    PREFIX,
    TEXTS,
    Passages,
    Split,
    cut_passages,
    feature_channels,
    find_rotary,
    is_same_rotation,
    key_rotations,
    token_ids,
    usual_passages,
)
from lamofc_tools.consumer.fisher import measure_metric, measure_metric_of_features
from lamofc_tools.consumer.measuring import measure_consumer
from lamofc_tools.consumer.metric import FLOOR, ModelMetric
from lamofc_tools.consumer.reader import USUAL_KL, Consumer, Rotations
from lamofc_tools.consumer.replay import TextReplay
from lamofc_tools.consumer.state_space import StateSpaceSplit, measure_state_space, split_decoder

__all__ = [
    "ANSWER",
    "CONTINUATION",
    "FLOOR",
    "PREFIX",
    "TEXTS",
    "USUAL_KL",
    "Agreement",
    "AnswerSums",
    "Consumer",
    "Decoded",
    "Fidelity",
    "FidelityMeter",
    "FidelityTally",
    "ModelMetric",
    "Passages",
    "Question",
    "QuestionTally",
    "Replay",
    "ReplayedSample",
    "Rotations",
    "SharedReplay",
    "Split",
    "StateSpaceSplit",
    "TextReplay",
    "closed_form_metric",
    "cut_passages",
    "feature_channels",
    "find_rotary",
    "is_same_rotation",
    "key_rotations",
    "measure_consumer",
    "measure_metric",
    "measure_metric_of_features",
    "measure_state_space",
    "split_decoder",
    "token_ids",
    "usual_passages",
]
