"""Training of a learned codec as DT-UFC does it: the loss is the rate plus lambda times the distortion."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_codecs import Profile, Sizes, trainable, weights_from_model
from lamofc_store.errors import BadArgument, Hint
from lamofc_tools import torch_checkpoint
from lamofc_tools.codec_training.planes import Planes
from lamofc_tools.training_loop import ResumableTraining

_LARGEST_LEVEL = 255.0
"""Scale of the distortion: the papers' lambdas expect squared errors in levels of 256."""
_SEED_STRIDE = 1_000_003
"""Distance between the seeds of consecutive configured seeds, so that their steps share no noise."""
_MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True, kw_only=True)
class CodecTrainingConfig:
    """Networks, loss and schedule of a training."""

    sizes: Sizes
    lmbda: float
    crop: tuple[int, int] = (256, 256)
    batch: int = 8
    steps: int = 100_000
    every: int = 250
    """Steps between two evaluations of the held-out planes."""
    lr: float = 1e-4
    aux_lr: float = 1e-3
    """Learning rate of the entropy model's quantiles."""
    least_lr: float = 1e-6
    """The learning rate is halved when the loss stops falling; the training ends when the rate is below this."""
    patience: int = 4
    """Evaluations without improvement before the learning rate is halved."""
    seed: int = 0
    device: str = "cpu"
    half: bool = False
    """Whether the convolutions of the transforms run in bfloat16."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as the configuration of a run."""
        config = asdict(self)
        if not self.sizes.context:  # of a Hyperprior, whose older checkpoints do not name it
            del config["sizes"]["context"]
        return config


@dataclass(frozen=True)
class Evaluation:
    """Loss, rate and distortion of the held-out planes after some steps."""

    step: int
    loss: float
    bpp: float
    """Estimated bits per pixel."""
    mse: float
    """Squared error in levels of 256."""
    lr: float
    seconds: float


class CodecTraining(ResumableTraining[Tensor, Evaluation]):
    """Networks of a codec in training on crops of planes; a round ends with an evaluation."""

    summary_type = Evaluation
    keeps_best = True

    def __init__(
        self, config: CodecTrainingConfig, planes: Planes, start: Path | None = None, checkpoint: Path | None = None
    ) -> None:
        """Initialise the networks, with the best weights of the checkpoint `start` if one is given."""
        torch.manual_seed(config.seed)
        super().__init__(trainable(config.sizes).to(config.device), checkpoint)
        self.config, self.planes = config, planes
        if config.half:
            _run_in_bfloat16(self.model, config.device)
        named = dict(self.model.named_parameters())
        quantiles = [parameter for name, parameter in named.items() if name.endswith(".quantiles")]
        self._weights = [parameter for name, parameter in named.items() if not name.endswith(".quantiles")]
        self._optimiser = torch.optim.Adam(self._weights, config.lr)
        self._quantile_optimiser = torch.optim.Adam(quantiles, config.aux_lr)
        self._schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self._optimiser, factor=0.5, patience=config.patience, eps=0.0
        )
        if start is not None:
            self.model.load_state_dict(torch_checkpoint.read(start)["best"])

    @property
    def learning_rate(self) -> float:
        """Current learning rate of the networks."""
        rate: float = self._optimiser.param_groups[0]["lr"]
        return rate

    @property
    def finished(self) -> bool:
        """Whether all steps are taken, or the learning rate has fallen below its least value."""
        return self.step >= self.config.steps or self.learning_rate < self.config.least_lr

    @property
    def config_text(self) -> str:
        """The configuration without the number of steps, so that a resumed training may be longer or shorter."""
        return json.dumps({**self.config.to_json(), "steps": None}, sort_keys=True)

    def batches(self) -> Iterator[Tensor]:
        """Yield the crops up to the next evaluation; they depend on the seed and the step alone."""
        for _ in range(min(self.config.every, self.config.steps - self.step)):
            yield self.planes.batch(self.step, self.config.batch, self.config.crop).to(self.config.device)

    def train_step(self, batch: Tensor) -> None:
        """Update the networks, then the quantiles of their entropy model."""
        torch.manual_seed(self.config.seed * _SEED_STRIDE + self.step)  # makes the quantisation noise resumable
        self._optimiser.zero_grad()
        self._quantile_optimiser.zero_grad()
        loss, _, _ = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._weights, _MAX_GRADIENT_NORM)
        self._optimiser.step()
        self.model.aux_loss().backward()  # type: ignore[operator]
        self._quantile_optimiser.step()

    def _loss(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = self.model(crops)
        bits = torch.stack([-torch.log2(likelihood).sum() for likelihood in out["likelihoods"].values()])
        bpp = bits.sum() / crops.numel()
        mse = (out["x_hat"] - crops).square().mean() * _LARGEST_LEVEL**2
        return bpp + self.config.lmbda * mse, bpp, mse

    def end_round(self) -> Evaluation:
        """Evaluate the held-out planes and let the schedule react to their loss."""
        loss, bpp, mse = self.evaluate()
        if not math.isfinite(loss):
            raise BadArgument(
                f"the loss is {loss} at step {self.step}",
                Hint("give a lower [lr]; the checkpoint, if there is one, holds the state of the last evaluation"),
            )
        summary = Evaluation(self.step, loss, bpp, mse, self.learning_rate, self.count_seconds())
        self._schedule.step(loss)
        return summary

    @torch.no_grad()
    def evaluate(self) -> tuple[float, float, float]:
        """Return loss, rate and distortion of the held-out planes, with latents rounded as the codec rounds them."""
        self.model.eval()
        sums, count = torch.zeros(3, dtype=torch.float64), 0
        for crops in self.planes.held_out_batches(self.config.batch, self.config.crop):
            sums += len(crops) * torch.stack(self._loss(crops.to(self.config.device))).cpu().to(torch.float64)
            count += len(crops)
        loss, bpp, mse = (sums / count).tolist()
        return loss, bpp, mse

    def weights(self) -> Profile:
        """Return the weights of the best evaluation; those of the start before the first one."""
        model = trainable(self.config.sizes)
        model.load_state_dict(self.best or self.model.state_dict())
        return weights_from_model(model, self.config.lmbda)

    @property
    def curve(self) -> list[list[float]]:
        """Step, loss, bits per pixel, squared error and learning rate of each evaluation."""
        return [[past.step, past.loss, past.bpp, past.mse, past.lr] for past in self.history]

    def state(self) -> dict[str, Any]:
        """Return the states of both optimisers and of the schedule."""
        return {
            "optimiser": self._optimiser.state_dict(),
            "aux": self._quantile_optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over the states of both optimisers and of the schedule."""
        self._optimiser.load_state_dict(state["optimiser"])
        self._quantile_optimiser.load_state_dict(state["aux"])
        self._schedule.load_state_dict(state["schedule"])


def _run_in_bfloat16(model: nn.Module, device: str) -> None:
    """Run the transforms' convolutions in bfloat16; likelihoods stay in float32."""
    device_type = torch.device(device).type
    for name in ("g_a", "g_s"):
        network = getattr(model, name)

        def forward(x: Tensor, inner: Callable[[Tensor], Tensor] = network.forward) -> Tensor:
            with torch.autocast(device_type, dtype=torch.bfloat16):
                return inner(x).to(torch.float32)

        network.forward = forward


def train(
    config: CodecTrainingConfig,
    planes: Planes,
    *,
    start: Path | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[Evaluation], None] | None = None,
) -> CodecTraining:
    """Train from the best weights of `start`, or resume from `checkpoint` if that file exists."""
    training = CodecTraining(config, planes, start, checkpoint)
    training.run(progress)
    return training
