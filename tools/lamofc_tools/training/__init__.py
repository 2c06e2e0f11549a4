"""Training of the learned codecs, from stores: planes, the loop, its checkpoints."""

from lamofc_tools.training.loop import Plan, Progress, Trainer
from lamofc_tools.training.planes import Planes
from lamofc_tools.training.run import train

__all__ = ["Plan", "Planes", "Progress", "Trainer", "train"]
