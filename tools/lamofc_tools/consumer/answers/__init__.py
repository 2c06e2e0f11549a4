"""The answers of the rest of a model: how far they are from the unbroken model's, and how many are right.

In: a split model, texts, decoded features. Out: divergence, agreement, perplexity, right answers; the gradient of the
divergence by what is decoded.
"""

from lamofc_tools.consumer.answers.fidelity import (
    Agreement,
    AnswerSums,
    Decoded,
    Fidelity,
    FidelityMeter,
    FidelityTally,
)
from lamofc_tools.consumer.answers.questions import ANSWER, Question, QuestionTally
from lamofc_tools.consumer.answers.replay import Replay, ReplayedSample, SharedReplay

__all__ = [
    "ANSWER",
    "Agreement",
    "AnswerSums",
    "Decoded",
    "Fidelity",
    "FidelityMeter",
    "FidelityTally",
    "Question",
    "QuestionTally",
    "Replay",
    "ReplayedSample",
    "SharedReplay",
]
