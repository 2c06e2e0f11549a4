"""Training and evaluation of heads on a store.

Heads on pooled tokens are fitted to all rows at once, after one pass; all others are trained by gradients, batch by
batch.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.heads.architectures import PooledHead
from lamofc_tools.heads.contract import Head, TrainingConfig, TrainingSet
from lamofc_tools.training_loop import ResumableTraining

_FINAL_RATE_SHARE = 0.01
"""Share of the initial learning rate that is left at the end of the cosine schedule."""

Batch = tuple[list[Any], Tensor]
"""Features in the order of the head's inputs, and targets."""


@dataclass(frozen=True)
class EpochLoss:
    """Mean training loss of one epoch."""

    epoch: int
    loss: float


def train(
    head: Head, samples: TrainingSet, config: TrainingConfig, progress: Callable[[EpochLoss], None] | None = None
) -> list[EpochLoss]:
    """Train a head to the end, from the configured checkpoint if it exists; return the loss of each epoch."""
    head.to(config.device)
    if isinstance(head, PooledHead):
        rows, targets = pooled_rows(head, samples, config)
        summary = EpochLoss(0, head.fit_rows(rows, targets, config))
        if progress is not None:
            progress(summary)
        return [summary]
    training = HeadTraining(head, samples, config)
    training.run(progress)
    return training.history


@torch.no_grad()
def pooled_rows(head: PooledHead, samples: TrainingSet, config: TrainingConfig) -> tuple[Tensor, Tensor]:
    """Read the pooled rows and the targets of all samples in one pass."""
    rows, targets = [], []
    pooled = samples.pooled(head.pool)
    for features, target in pooled.batches(config.loader(pooled, shuffle=False)):
        rows.append(head.rows(features))
        targets.append(target)
    return torch.cat(rows), torch.cat(targets)


class HeadTraining(ResumableTraining[Batch, EpochLoss]):
    """A head in training by AdamW under a cosine schedule; a round is an epoch."""

    summary_type = EpochLoss
    model: Head

    def __init__(self, head: Head, samples: TrainingSet, config: TrainingConfig) -> None:
        torch.manual_seed(config.seed)
        super().__init__(head, config.checkpoint, config.every)
        self.config, self.samples = config, samples
        self.loader = config.loader(samples, shuffle=True)
        self._optimiser = torch.optim.AdamW(head.parameters(), config.lr, weight_decay=config.decay)
        steps = config.epochs * len(self.loader)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self._optimiser, max(steps, 1), config.lr * _FINAL_RATE_SHARE
        )
        self.epoch = 0
        self._loss_sum, self._samples_seen = 0.0, 0

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.config.epochs

    @property
    def config_text(self) -> str:
        """The configuration and the architecture."""
        return json.dumps(replace(self.config, checkpoint=None).to_json() | {"head": self.model.kind}, sort_keys=True)

    def batches(self) -> Iterator[Batch]:
        """Yield the batches that are left of the epoch."""
        return self.samples.batches(self.loader)

    def train_step(self, batch: Batch) -> None:
        """Update the head by one batch."""
        features, targets = batch
        torch.manual_seed(self.config.seed + self.step)  # a resumed training draws the same points of masks
        device = torch.device(self.config.device).type
        with torch.autocast(device, torch.bfloat16, enabled=self.config.half):
            loss = self.model.loss(features, targets)
        if not torch.isfinite(loss):
            raise BadArgument(f"the loss is {loss.item()} at step {self.step}", Hint("give a lower [lr]"))
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._schedule.step()
        self._loss_sum += loss.item() * len(targets)
        self._samples_seen += len(targets)

    def end_round(self) -> EpochLoss:
        """Return the mean loss of the epoch."""
        summary = EpochLoss(self.epoch, self._loss_sum / max(self._samples_seen, 1))
        self.epoch, self._loss_sum, self._samples_seen = self.epoch + 1, 0.0, 0
        return summary

    def state(self) -> dict[str, Any]:
        """Return the states of optimiser and schedule, the position in the epoch, and its loss so far."""
        return {
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "loader": self.loader.state_dict(),
            "epoch": self.epoch,
            "sums": [self._loss_sum, self._samples_seen],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over the states of optimiser and schedule, the position in the epoch, and its loss so far."""
        self.loader.load_state_dict(state["loader"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self.epoch = state["epoch"]
        self._loss_sum, self._samples_seen = state["sums"]


@torch.no_grad()
def evaluate(head: Head, samples: TrainingSet, config: TrainingConfig) -> dict[str, float]:
    """Return the metrics of the head's task on some samples."""
    if not len(samples):
        raise BadArgument(
            f"no sample to evaluate on has {', '.join(samples.inputs)} and {samples.target}",
            Hint("widen [where], or name features that all samples have"),
        )
    samples = samples.pooled(head.pool) if isinstance(head, PooledHead) else samples
    meter = head.to(config.device).eval().task.meter()
    for features, targets in samples.batches(config.loader(samples, shuffle=False)):
        meter.add(head.predict(features, targets), targets)
    return meter.values()
