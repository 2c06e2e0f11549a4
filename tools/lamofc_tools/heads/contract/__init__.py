"""What every head is: its interface, the task that it learns, its training data and configuration."""

from lamofc_tools.heads.contract.head import Head
from lamofc_tools.heads.contract.task import Task
from lamofc_tools.heads.contract.token_maps import Given, image, tokens_of
from lamofc_tools.heads.contract.training_config import DECAYS, TrainingConfig
from lamofc_tools.heads.contract.training_set import TrainingSet

__all__ = [
    "DECAYS",
    "Given",
    "Head",
    "Task",
    "TrainingConfig",
    "TrainingSet",
    "image",
    "tokens_of",
]
