"""What all heads have in common: features of a batch in, outputs of a task out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lamofc_tools.heads.contract.task import Task
from lamofc_tools.heads.contract.token_maps import Given


class Head(nn.Module, ABC):
    """Made from the channels of its features, a task, and options that its file keeps."""

    kind: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]
    """Kinds of tasks that it is made for, the usual one first."""

    def __init__(self, widths: Sequence[int], task: Task, **options: Any) -> None:
        super().__init__()
        self.widths, self.task, self.options = tuple(widths), task, options

    @abstractmethod
    def forward(self, features: Sequence[Given]) -> Tensor:
        """Outputs for a batch; the features in the order of the widths."""

    @torch.no_grad()
    def found(self, features: Sequence[Given], targets: Tensor) -> Tensor:
        """Outputs as they are judged, as large as their targets."""
        return self.task.sized(self(features), targets)
