"""Training of the learned codecs, from stores: planes, the trainer, its checkpoints."""

from lamofc_tools.codec_training.planes import Planes
from lamofc_tools.codec_training.trainer import Plan, Progress, Trainer, train

__all__ = [
    "Plan",
    "Planes",
    "Progress",
    "Trainer",
    "train",
]
