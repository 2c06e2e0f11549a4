"""A training in rounds that can be stopped at any batch and resumed: checkpoints, history, best weights.

A round trains on some batches and ends with a summary, such as the mean loss of an epoch or an evaluation of held-out
samples. A subclass brings the batches, the step on a batch and the summary; the loop is the same for all.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from torch import Tensor, nn

from lamofc_store.errors import BadArgument
from lamofc_tools import torch_checkpoint

_FORMER_KEYS = {"plan": "config", "course": "config", "head": "model"}
"""Keys of older checkpoints, which can still be resumed."""


class Summary(Protocol):
    """Outcome of one round: a dataclass with a loss, the lower the better."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def loss(self) -> float:
        """Loss by which rounds are compared."""


S = TypeVar("S", bound=Summary)
B = TypeVar("B")


class ResumableTraining(ABC, Generic[B, S]):
    """A model in training, with the number of steps taken and the summaries of all rounds."""

    summary_type: type[S]
    keeps_best: ClassVar[bool] = False
    """Whether the weights after the round of lowest loss are kept."""

    def __init__(self, model: nn.Module, checkpoint: Path | None = None, save_steps: int | None = None) -> None:
        self.model, self.checkpoint = model, checkpoint
        self._save_steps = save_steps
        self.step, self.seconds, self._counted_until = 0, 0.0, 0.0
        self.history: list[S] = []
        self.best: dict[str, Tensor] = {}

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether no further round is due."""

    @property
    @abstractmethod
    def config_text(self) -> str:
        """The configuration as text; a checkpoint is resumed only where it is equal."""

    @abstractmethod
    def batches(self) -> Iterable[B]:
        """Yield the batches that are left of the current round, each made when it is needed."""

    @abstractmethod
    def train_step(self, batch: B) -> None:
        """Update the model by one batch."""

    @abstractmethod
    def end_round(self) -> S:
        """Close the round and summarise it."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return all further state that a resumed training needs: optimisers, schedules, the position in the data."""

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""

    def run(self, progress: Callable[[S], None] | None = None) -> None:
        """Train to the end, from the checkpoint if there is one; `progress` is called after each round."""
        if self.checkpoint is not None and self.checkpoint.exists():
            self.resume(self.checkpoint)
        for summary in self.rounds():
            if progress is not None:
                progress(summary)

    def rounds(self) -> Iterator[S]:
        """Train round by round; a checkpoint is written after each, and every `save_steps` steps within it."""
        while not self.finished:
            self._counted_until = time.perf_counter()
            self.model.train()
            for batch in self.batches():
                self.train_step(batch)
                self.step += 1
                if self._save_steps is not None and self.step % self._save_steps == 0:
                    self.save()
            summary = self.end_round()
            self.count_seconds()
            if self.keeps_best and summary.loss < min((past.loss for past in self.history), default=float("inf")):
                self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()}
            self.history.append(summary)
            self.save()
            yield summary
        self.model.eval()

    def count_seconds(self) -> float:
        """Add the time since the last count, or since the round began, to `seconds`, and return the sum."""
        now = time.perf_counter()
        self.seconds, self._counted_until = self.seconds + now - self._counted_until, now
        return self.seconds

    def save(self, file: Path | None = None) -> None:
        """Write a checkpoint, if a file is given here or was given at the start."""
        file = file or self.checkpoint
        if file is None:
            return
        state = {
            "config": self.config_text,
            "model": self.model.state_dict(),
            "best": self.best,
            "step": self.step,
            "seconds": self.seconds,
            "history": [asdict(summary) for summary in self.history],
        }
        torch_checkpoint.write(file, state | self.state())

    def resume(self, file: Path) -> None:
        """Continue from a checkpoint of the same configuration."""
        state = {_FORMER_KEYS.get(key, key): value for key, value in torch_checkpoint.read(file).items()}
        if "config" not in state:
            raise BadArgument(f"{file} holds {', '.join(state)}: no training", "name another file, or delete it")
        saved = state["config"]
        if saved != self.config_text:
            raise BadArgument(
                f"{file} is a checkpoint of {saved}, not of {self.config_text}", "name another file, or delete it"
            )
        self.load_state(state)
        self.model.load_state_dict(state["model"])
        self.best = state.get("best", {})
        self.step, self.seconds = state["step"], state.get("seconds", 0.0)
        self.history = [_summary(self.summary_type, fields) for fields in state["history"]]


def _summary(summary_type: type[S], fields: dict[str, Any] | list[Any]) -> S:
    """Rebuild a summary; older checkpoints list its fields without names."""
    return summary_type(**fields) if isinstance(fields, dict) else summary_type(*fields)
