"""The interface of a head: features of a batch in, outputs of a task out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from lamofc_tools.heads.contract.task import Task, TaskKind
from lamofc_tools.heads.contract.token_maps import BatchFeature


class Options(Protocol):
    """A frozen dataclass whose fields are the options of an architecture."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class Head(nn.Module, ABC):
    """A module for one task, made from the channels of its input features.

    A subclass declares its name, its tasks and its options: a frozen dataclass in which every field has a default. The
    constructor takes the fields as keyword arguments, the file of a head keeps them, and the command line offers them.
    """

    kind: ClassVar[str]
    """Name of the architecture in the registry and in files."""
    tasks: ClassVar[tuple[TaskKind, ...]]
    """Tasks that the architecture is made for, the default first."""
    options_type: ClassVar[type[Options]]
    trainable: ClassVar[bool] = True
    """Whether the architecture can be trained anew on other features."""

    def __init__(self, widths: Sequence[int], task: Task, **options: Any) -> None:
        super().__init__()
        self.widths, self.task = tuple(widths), task
        self.options: dict[str, Any] = asdict(self.options_type(**options))

    @abstractmethod
    def forward(self, features: Sequence[BatchFeature]) -> Tensor:
        """Return the outputs for a batch; the features come in the order of the widths."""

    def loss(self, features: Sequence[BatchFeature], targets: Tensor) -> Tensor:
        """Return the training loss of a batch: by default the task's loss of the outputs."""
        return self.task.loss(self(features), targets)

    @torch.no_grad()
    def predict(self, features: Sequence[BatchFeature], targets: Tensor) -> Tensor:
        """Return the outputs for a batch, resized to its targets."""
        return self.task.resized(self(features), targets)
