"""The task of a head: its loss and its metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from lamofc_store.errors import BadArgument
from lamofc_tools.metrics import IGNORED, Accuracy, Depth, MeanIoU, Meter

TaskKind = Literal["classes", "segments", "depth"]
"""Classification of samples, semantic segmentation, and depth estimation."""
_SCALE_INVARIANCE = 0.5
"""Share of the squared mean log error that the loss of depths forgives (Eigen et al., 2014); 1 would ignore scale."""


@dataclass(frozen=True)
class Task:
    """A kind of task, its number of classes, and the depths that count."""

    kind: TaskKind
    classes: int = 1
    least_depth: float = 1e-3
    most_depth: float = 10.0
    eigen_crop: bool = False
    """Whether depths count only in the crop in which NYUv2 is evaluated."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(TaskKind) or self.classes < 1:
            raise BadArgument(
                f"a task {self.kind!r} of {self.classes} classes", f"one of {', '.join(get_args(TaskKind))}"
            )

    @property
    def outputs(self) -> int:
        """Channels of a head's output."""
        return self.classes if self.kind != "depth" else 1

    def resized(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Resize maps of outputs to their targets, and turn outputs for depth into depths above the least one."""
        if self.kind == "classes":
            return outputs
        outputs = interpolate(outputs.float(), size=targets.shape[-2:], mode="bilinear", align_corners=False)
        return outputs if self.kind == "segments" else self.least_depth + torch.nn.functional.softplus(outputs[:, 0])

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of a head's outputs: cross-entropy, or for depth the scale-invariant log error."""
        outputs = self.resized(outputs, targets)
        if self.kind == "classes":
            return cross_entropy(outputs.float(), targets)
        if self.kind == "segments":
            return cross_entropy(outputs, targets.long(), ignore_index=IGNORED)
        in_range = (targets > self.least_depth) & (targets < self.most_depth)
        error = (outputs.clamp_min(1e-6).log() - targets.clamp_min(1e-6).log())[in_range]
        if not bool(in_range.any()):
            return outputs.sum() * 0  # keeps the graph, so that a batch without any depth has zero gradients
        return error.square().mean() - _SCALE_INVARIANCE * error.mean().square()

    def meter(self) -> Meter:
        """Return a new meter of the task's metrics."""
        return METERS[self.kind](self)


METERS: dict[TaskKind, Callable[[Task], Meter]] = {
    "classes": lambda task: Accuracy(),
    "segments": lambda task: MeanIoU(task.classes),
    "depth": lambda task: Depth(task.least_depth, task.most_depth, eigen_crop=task.eigen_crop),
}
"""The meter of each kind of task."""
