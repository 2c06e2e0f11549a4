"""The configuration of a head's training."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lamofc_store import FeatureLoader
from lamofc_tools.heads.contract.training_set import TrainingSet

DECAYS = (1e-5, 1e-4, 1e-3, 1e-2)
"""Weight decays that a linear head tries if none are given."""
_NOT_RECORDED = ("checkpoint", "device", "workers")
"""Fields without effect on the trained weights; runs and checkpoints leave them out."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Schedule, optimiser settings and loader settings of a training."""

    epochs: int = 10
    batch: int = 64
    lr: float = 1e-3
    decay: float = 0.01
    """Weight decay of heads that are trained by gradients."""
    decays: tuple[float, ...] = DECAYS
    """Weight decays from which a linear head chooses one on held-out samples."""
    sweep: bool = False
    """Whether a linear head is trained by SGD at many learning rates side by side and keeps the best result."""
    seed: int = 0
    device: str = "cpu"
    half: bool = False
    """Whether forward passes run in bfloat16."""
    workers: int = 0
    ragged: str = "stack"
    checkpoint: Path | None = None
    """File written after every epoch and every `every` batches; an existing one is resumed."""
    every: int = 1000

    def loader(self, samples: TrainingSet, *, shuffle: bool) -> FeatureLoader:
        """Return a loader of batches."""
        return FeatureLoader(
            samples.dataset,
            self.batch,
            shuffle=shuffle,
            seed=self.seed,
            device=self.device,
            ragged=self.ragged,  # type: ignore[arg-type]
            workers=self.workers,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields that determine the trained weights."""
        return {name: value for name, value in asdict(self).items() if name not in _NOT_RECORDED}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "TrainingConfig":
        """Rebuild a configuration from `to_json`."""
        return cls(**{**fields, "decays": tuple(fields["decays"])})
