"""Heads trained from a store: by one pass and a solver where that is enough, else by gradients, batch after batch."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools import torch_checkpoint
from lamofc_tools.heads.architectures import PooledHead
from lamofc_tools.heads.contract import Head, TrainingConfig, TrainingSet

_LEAST = 0.01
"""To what share of its beginning the rate of learning falls."""


@dataclass(frozen=True)
class Progress:
    """What an epoch came to."""

    epoch: int
    loss: float


Tell = Callable[[Progress], None]


def train(head: Head, lesson: TrainingSet, course: TrainingConfig, tell: Tell | None = None) -> list[Progress]:
    """Train to the end; what each epoch came to."""
    head.to(course.device)
    if isinstance(head, PooledHead):
        return _solved(head, lesson, course, tell)
    run = Training(head, lesson, course)
    if course.checkpoint is not None and course.checkpoint.exists():
        run.resume(course.checkpoint)
    for progress in run.epochs():
        if tell is not None:
            tell(progress)
    return run.history


def _solved(head: PooledHead, lesson: TrainingSet, course: TrainingConfig, tell: Tell | None) -> list[Progress]:
    rows, targets = gathered(head, lesson, course)
    progress = Progress(0, head.learn(rows, targets, course))
    if tell is not None:
        tell(progress)
    return [progress]


@torch.no_grad()
def gathered(head: PooledHead, lesson: TrainingSet, course: TrainingConfig) -> tuple[Tensor, Tensor]:
    """Pooled rows and targets of all samples, in one pass."""
    rows, targets = [], []
    pooled = lesson.pooled(head.pool)
    for features, target in pooled.batches(course.loader(pooled, shuffle=False)):
        rows.append(head.rows(features))
        targets.append(target)
    return torch.cat(rows), torch.cat(targets)


class Training:
    """A training by gradients that can be stopped at any batch and taken up again."""

    def __init__(self, head: Head, lesson: TrainingSet, course: TrainingConfig) -> None:
        torch.manual_seed(course.seed)
        self.head, self.course, self.lesson = head, course, lesson
        self.loader = course.loader(lesson, shuffle=True)
        self.steps = course.epochs * len(self.loader)
        self._optimiser = torch.optim.AdamW(head.parameters(), course.lr, weight_decay=course.decay)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self._optimiser, max(self.steps, 1), course.lr * _LEAST
        )
        self.step = self.epoch = 0
        self._sum, self._seen = 0.0, 0
        self.history: list[Progress] = []

    def epochs(self) -> Iterator[Progress]:
        """Those that are left."""
        self.head.train()
        while self.epoch < self.course.epochs:
            for features, target in self.lesson.batches(self.loader):
                self._learn(features, target)
                if self.step % self.course.every == 0:
                    self.save()
            self.history.append(Progress(self.epoch, self._sum / max(self._seen, 1)))
            self.epoch, self._sum, self._seen = self.epoch + 1, 0.0, 0
            self.save()
            yield self.history[-1]
        self.head.eval()

    def _learn(self, features: list[Any], target: Tensor) -> None:
        device = torch.device(self.course.device).type
        with torch.autocast(device, torch.bfloat16, enabled=self.course.half):
            outputs = self.head(features)
        loss = self.head.task.loss(outputs, target)
        if not torch.isfinite(loss):
            raise BadArgument(f"the loss is {loss.item()} at step {self.step}", "give a lower --lr")
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._schedule.step()
        self.step += 1
        self._sum += loss.item() * len(target)
        self._seen += len(target)

    @property
    def _told(self) -> str:
        return json.dumps(replace(self.course, checkpoint=None).to_json() | {"head": self.head.kind}, sort_keys=True)

    def save(self) -> None:
        """Write all that is needed to go on; what was there before stays until the new one is whole."""
        file = self.course.checkpoint
        if file is None:
            return
        kept = {
            "course": self._told,
            "head": self.head.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "loader": self.loader.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
            "sums": [self._sum, self._seen],
            "history": [[past.epoch, past.loss] for past in self.history],
        }
        torch_checkpoint.write(file, kept)

    def resume(self, file: Path) -> None:
        """Go on from a checkpoint of the same course on the same samples."""
        kept = torch_checkpoint.read(file)
        if kept["course"] != self._told:
            raise BadArgument(f"{file} is of {kept['course']}, not of {self._told}", "name another file, or delete it")
        self.loader.load_state_dict(kept["loader"])
        self.head.load_state_dict(kept["head"])
        self._optimiser.load_state_dict(kept["optimiser"])
        self._schedule.load_state_dict(kept["schedule"])
        self.step, self.epoch = kept["step"], kept["epoch"]
        self._sum, self._seen = kept["sums"]
        self.history = [Progress(int(epoch), loss) for epoch, loss in kept["history"]]


@torch.no_grad()
def evaluate(head: Head, lesson: TrainingSet, course: TrainingConfig) -> dict[str, float]:
    """The metrics of its task on a dataset."""
    if not len(lesson):
        raise BadArgument("there is no sample to judge by", "widen --where, or name features that all samples have")
    lesson = lesson.pooled(head.pool) if isinstance(head, PooledHead) else lesson
    meter = head.to(course.device).eval().task.meter()
    for features, target in lesson.batches(course.loader(lesson, shuffle=False)):
        meter.add(head.found(features, target), target)
    return meter.values()
