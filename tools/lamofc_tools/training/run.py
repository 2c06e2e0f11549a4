"""One training from its beginning, or from where it was stopped, to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lamofc_tools.training.loop import Plan, Progress, Trainer
from lamofc_tools.training.planes import Planes


def train(
    plan: Plan,
    planes: Planes,
    *,
    start: Path | None = None,
    checkpoint: Path | None = None,
    tell: Callable[[Progress], None] | None = None,
) -> Trainer:
    """Begin with the best weights of `start`, or go on from `checkpoint` if it is there."""
    trainer = Trainer(plan, planes, start)
    if checkpoint is not None and checkpoint.exists():
        trainer.resume(checkpoint)
    trainer.run(tell, checkpoint)
    return trainer
