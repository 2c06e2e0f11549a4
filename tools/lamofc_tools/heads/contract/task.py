"""What a head is for: its loss, and the metrics that it is judged by."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from lamofc_store.errors import BadArgument
from lamofc_tools.metrics import IGNORED, Accuracy, Depth, MeanIoU, Meter

Kind = Literal["classes", "segments", "depth"]


@dataclass(frozen=True)
class Task:
    """A kind of task, and of how many classes."""

    kind: Kind
    classes: int = 1
    least_depth: float = 1e-3
    most_depth: float = 10.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind) or self.classes < 1:
            raise BadArgument(f"a task {self.kind!r} of {self.classes} classes", f"one of {', '.join(get_args(Kind))}")

    @property
    def outputs(self) -> int:
        """Channels of a head's output."""
        return self.classes if self.kind != "depth" else 1

    def sized(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Outputs as large as their targets; depths in their range."""
        if self.kind == "classes":
            return outputs
        outputs = interpolate(outputs.float(), size=targets.shape[-2:], mode="bilinear", align_corners=False)
        return outputs if self.kind == "segments" else self.least_depth + torch.nn.functional.softplus(outputs[:, 0])

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What is made small, of outputs as the head gave them."""
        sized = self.sized(outputs, targets)
        if self.kind == "classes":
            return cross_entropy(sized.float(), targets)
        if self.kind == "segments":
            return cross_entropy(sized, targets.long(), ignore_index=IGNORED)
        known = (targets > self.least_depth) & (targets < self.most_depth)
        error = (sized.clamp_min(1e-6).log() - targets.clamp_min(1e-6).log())[known]
        return (error.square().mean() - 0.5 * error.mean().square()) if bool(known.any()) else sized.sum() * 0

    def meter(self) -> Meter:
        """Its metrics."""
        if self.kind == "classes":
            return Accuracy()
        return MeanIoU(self.classes) if self.kind == "segments" else Depth(self.least_depth, self.most_depth)
