"""The contract of all heads: interface, task, training set and training configuration.

In: features and targets of a store. Out: batches for a head, and the loss and metrics of its outputs.
"""

from lamofc_tools.heads.contract.head import Head
from lamofc_tools.heads.contract.task import METERS, Task, TaskKind
from lamofc_tools.heads.contract.token_maps import BatchFeature, as_image, tokens_and_mask
from lamofc_tools.heads.contract.training_config import DECAYS, TrainingConfig
from lamofc_tools.heads.contract.training_set import TrainingSet

__all__ = [
    "DECAYS",
    "METERS",
    "BatchFeature",
    "Head",
    "Task",
    "TaskKind",
    "TrainingConfig",
    "TrainingSet",
    "as_image",
    "tokens_and_mask",
]
