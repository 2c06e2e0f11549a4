"""The loop: rate plus lambda times distortion, as DT-UFC trains, with what a run of hours needs besides."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_codecs import Profile, Sizes, trainable, weights_from_model
from lamofc_store.errors import BadArgument
from lamofc_tools import torch_checkpoint as checkpoint_file
from lamofc_tools.codec_training.planes import Planes

_WHITE = 255.0
"""Distortion counts in steps of one level of 256, squared, as the papers' lambdas take it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is trained, and for how long."""

    sizes: Sizes
    lmbda: float
    crop: tuple[int, int] = (256, 256)
    batch: int = 8
    steps: int = 100_000
    every: int = 250
    """Steps between two looks at what is held out."""
    lr: float = 1e-4
    aux_lr: float = 1e-3
    least_lr: float = 1e-6
    """The rate of learning halves when nothing gets better; below this the training ends."""
    patience: int = 4
    """Looks without a gain before it halves."""
    seed: int = 0
    device: str = "cpu"
    half: bool = False
    """Convolutions of the transforms in bfloat16."""

    def to_json(self) -> dict[str, Any]:
        """As the run's config."""
        return asdict(self)


@dataclass(frozen=True)
class Progress:
    """One look at what is held out."""

    step: int
    loss: float
    bpp: float
    """Estimated bits of a pixel."""
    mse: float
    """In levels, squared."""
    lr: float
    seconds: float


class Trainer:
    """A training that can be stopped at any time and taken up again."""

    def __init__(self, plan: Plan, planes: Planes, start: Path | None = None) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.planes = plan, planes
        self.model = trainable(plan.sizes).to(plan.device)
        if plan.half:
            _halve(self.model, plan.device)
        named = dict(self.model.named_parameters())
        aux = [parameter for name, parameter in named.items() if name.endswith(".quantiles")]
        rest = [parameter for name, parameter in named.items() if not name.endswith(".quantiles")]
        self._parameters = rest
        self._optimiser = torch.optim.Adam(rest, plan.lr)
        self._aux = torch.optim.Adam(aux, plan.aux_lr)
        self._schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self._optimiser, factor=0.5, patience=plan.patience, eps=0.0
        )
        self.step, self.seconds = 0, 0.0
        self.history: list[Progress] = []
        self._best: dict[str, Tensor] = {}
        if start is not None:
            self.model.load_state_dict(checkpoint_file.read(start)["best"])

    def run(self, tell: Callable[[Progress], None] | None = None, checkpoint: Path | None = None) -> None:
        """Train to the end; a checkpoint is written at every look."""
        while self.step < self.plan.steps and self._optimiser.param_groups[0]["lr"] >= self.plan.least_lr:
            started = time.perf_counter()
            self.model.train()
            for _ in range(min(self.plan.every, self.plan.steps - self.step)):
                self._learn(self.planes.batch(self.step, self.plan.batch, self.plan.crop).to(self.plan.device))
                self.step += 1
            found = self._look()
            self.seconds += time.perf_counter() - started
            if not math.isfinite(found[0]):
                raise BadArgument(
                    f"the loss is {found[0]} at step {self.step}", "give a lower --lr; a checkpoint has what was before"
                )
            progress = Progress(self.step, *found, self._optimiser.param_groups[0]["lr"], self.seconds)
            if not self._best or progress.loss < min(past.loss for past in self.history):
                self._best = {name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()}
            self.history.append(progress)
            self._schedule.step(progress.loss)
            if checkpoint is not None:
                self.save(checkpoint)
            if tell is not None:
                tell(progress)

    def _learn(self, crops: Tensor) -> None:
        torch.manual_seed(self.plan.seed * 1_000_003 + self.step)  # the noise, too, follows from seed and step alone
        self._optimiser.zero_grad()
        self._aux.zero_grad()
        loss, _, _ = self._loss(crops)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimiser.step()
        self.model.aux_loss().backward()  # type: ignore[operator]
        self._aux.step()

    def _loss(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = self.model(crops)
        bits = torch.stack([-torch.log2(likelihood).sum() for likelihood in out["likelihoods"].values()])
        bpp = bits.sum() / crops.numel()
        mse = (out["x_hat"] - crops).square().mean() * _WHITE**2
        return bpp + self.plan.lmbda * mse, bpp, mse

    def _look(self) -> tuple[float, float, float]:
        """Loss, rate and distortion of what is held out, rounded as the codec rounds."""
        self.model.eval()
        sums, count = torch.zeros(3, dtype=torch.float64), 0
        with torch.no_grad():
            for crops in self.planes.watched(self.plan.batch, self.plan.crop):
                sums += len(crops) * torch.stack(self._loss(crops.to(self.plan.device))).cpu().to(torch.float64)
                count += len(crops)
        loss, bpp, mse = (sums / count).tolist()
        return loss, bpp, mse

    def weights(self) -> Profile:
        """Those that did best on what is held out."""
        model = trainable(self.plan.sizes)
        model.load_state_dict(self._best or self.model.state_dict())
        return weights_from_model(model, self.plan.lmbda)

    @property
    def curve(self) -> list[list[float]]:
        """Step, loss, bits of a pixel, squared error and rate of learning at each look."""
        return [[past.step, past.loss, past.bpp, past.mse, past.lr] for past in self.history]

    @property
    def _told(self) -> str:
        """The plan as a checkpoint has it: without its length, which may change."""
        return json.dumps({**self.plan.to_json(), "steps": None}, sort_keys=True)

    def save(self, file: Path) -> None:
        """Write all that is needed to go on; what was there before stays until the new one is whole."""
        checkpoint_file.write(
            file,
            {
                "plan": self._told,
                "model": self.model.state_dict(),
                "best": self._best,
                "optimiser": self._optimiser.state_dict(),
                "aux": self._aux.state_dict(),
                "schedule": self._schedule.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
                "history": [asdict(past) for past in self.history],
            },
        )

    def resume(self, file: Path) -> None:
        """Go on from a checkpoint of the same plan; only how long it may take may differ."""
        kept = checkpoint_file.read(file)
        then, now = kept["plan"], self._told
        if then != now:
            raise BadArgument(f"{file} is a checkpoint of {then}, not of {now}", "name another file, or delete it")
        self.model.load_state_dict(kept["model"])
        self._best = kept["best"]
        self._optimiser.load_state_dict(kept["optimiser"])
        self._aux.load_state_dict(kept["aux"])
        self._schedule.load_state_dict(kept["schedule"])
        self.step, self.seconds = kept["step"], kept["seconds"]
        self.history = [Progress(**past) for past in kept["history"]]


def _halve(model: nn.Module, device: str) -> None:
    """The transforms' convolutions in bfloat16; what becomes of likelihoods stays in float32."""
    kind = torch.device(device).type
    for name in ("g_a", "g_s"):
        network = getattr(model, name)

        def forward(x: Tensor, inner: Callable[[Tensor], Tensor] = network.forward) -> Tensor:
            with torch.autocast(kind, dtype=torch.bfloat16):
                return inner(x).to(torch.float32)

        network.forward = forward


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
