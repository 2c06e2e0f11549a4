"""The loop that all trainings share: rounds, checkpoints at any step, best weights, resumption."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lamofc_store.errors import BadArgument
from lamofc_tools import torch_checkpoint
from lamofc_tools.training_loop import ResumableTraining

STEPS_A_ROUND, ROUNDS = 4, 3


@dataclass(frozen=True)
class RoundLoss:
    round: int
    loss: float


class Regression(ResumableTraining[Tensor, RoundLoss]):
    """A line fitted by SGD; the batch of a step follows from its number."""

    summary_type = RoundLoss
    keeps_best = True

    def __init__(self, *arguments: Any, rate: float = 0.1, stop: int | None = None) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Linear(2, 1), *arguments)
        self._rate, self._stop = rate, stop
        self._optimiser = torch.optim.SGD(self.model.parameters(), rate, momentum=0.9)
        self.losses: list[float] = []

    @property
    def finished(self) -> bool:
        return self.step >= ROUNDS * STEPS_A_ROUND

    @property
    def config_text(self) -> str:
        return f"rate {self._rate}"

    def batches(self) -> Iterator[Tensor]:
        for _ in range(STEPS_A_ROUND - self.step % STEPS_A_ROUND):
            if self.step == self._stop:
                raise KeyboardInterrupt
            yield torch.randn(8, 2, generator=torch.Generator().manual_seed(self.step))

    def train_step(self, batch: Tensor) -> None:
        loss = (self.model(batch) - batch.sum(1, keepdim=True)).square().mean()
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self.losses.append(loss.item())

    def end_round(self) -> RoundLoss:
        self.count_seconds()
        return RoundLoss(len(self.history), sum(self.losses[-STEPS_A_ROUND:]))

    def state(self) -> dict[str, Any]:
        return {"optimiser": self._optimiser.state_dict(), "losses": self.losses}

    def load_state(self, state: dict[str, Any]) -> None:
        self._optimiser.load_state_dict(state["optimiser"])
        self.losses = state["losses"]


def weights(training: Regression) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in training.model.parameters()])


@pytest.mark.parametrize("stop", [1, 4, 5, 11])
def test_a_stopped_training_ends_where_an_unbroken_one_does(tmp_path: Path, stop: int) -> None:
    unbroken = Regression()
    unbroken.run()
    assert [summary.round for summary in unbroken.history] == [0, 1, 2] and not unbroken.model.training
    with pytest.raises(KeyboardInterrupt):
        Regression(tmp_path / "kept", 1, stop=stop).run()
    seen: list[RoundLoss] = []
    resumed = Regression(tmp_path / "kept", 1)
    resumed.run(seen.append)
    assert resumed.step == unbroken.step and resumed.history == unbroken.history
    assert seen == unbroken.history[stop // STEPS_A_ROUND :]
    assert torch.equal(weights(resumed), weights(unbroken))
    assert resumed.seconds > 0


def test_the_weights_of_the_best_round_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    training, losses = Regression(), iter([2.0, 1.0, 3.0])
    monkeypatch.setattr(training, "end_round", lambda: RoundLoss(0, next(losses)))
    kept = []
    for _ in training.rounds():
        kept.append({name: tensor.clone() for name, tensor in training.model.state_dict().items()})
    assert all(torch.equal(training.best[name], tensor) for name, tensor in kept[1].items())
    assert not torch.equal(training.best["weight"], kept[2]["weight"])


def test_a_process_that_dies_while_it_writes_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(state: object, file: Path) -> None:
        file.write_bytes(b"half of")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Regression(tmp_path / "kept", 1, stop=3).run()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(torch, "save", killed)
        Regression(tmp_path / "kept", 1).run()
    resumed = Regression()
    resumed.resume(tmp_path / "kept")
    assert resumed.step == 3


@pytest.mark.parametrize(("config", "model"), [("plan", "model"), ("course", "head")])
def test_a_checkpoint_with_the_former_keys_is_resumed(tmp_path: Path, config: str, model: str) -> None:
    training = Regression()
    training.run()
    training.save(tmp_path / "kept")
    state = torch_checkpoint.read(tmp_path / "kept")
    former = {{"config": config, "model": model}.get(key, key): value for key, value in state.items()}
    del former["best"], former["seconds"]
    former["history"] = [[summary.round, summary.loss] for summary in training.history]
    torch_checkpoint.write(tmp_path / "former", former)
    resumed = Regression()
    resumed.resume(tmp_path / "former")
    assert resumed.history == training.history and torch.equal(weights(resumed), weights(training))


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    Regression(rate=0.5).save(tmp_path / "kept")
    with pytest.raises(BadArgument, match=r"is a checkpoint of rate 0\.5, not of rate 0\.1"):
        Regression().resume(tmp_path / "kept")
    torch_checkpoint.write(tmp_path / "kept", {"weight": torch.ones(2)})
    with pytest.raises(BadArgument, match="holds weight: no training"):
        Regression().resume(tmp_path / "kept")
    (tmp_path / "kept").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(BadArgument, match="is no checkpoint"):
        Regression(tmp_path / "kept").run()
