"""Training of the learned codecs on features of stores.

In: stores, the sizes of the networks and a lambda. Out: weights as a profile, and the curve of the evaluations.
"""

from lamofc_tools.codec_training.planes import Plane, PlaneChoice, Planes
from lamofc_tools.codec_training.trainer import CodecTraining, CodecTrainingConfig, Evaluation, train

__all__ = [
    "CodecTraining",
    "CodecTrainingConfig",
    "Evaluation",
    "Plane",
    "PlaneChoice",
    "Planes",
    "train",
]
