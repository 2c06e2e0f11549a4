"""How a head is trained: all that is chosen before it begins."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lamofc_store import FeatureLoader
from lamofc_tools.heads.contract.training_set import TrainingSet

DECAYS = (1e-5, 1e-4, 1e-3, 1e-2)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a head is trained."""

    epochs: int = 10
    batch: int = 64
    lr: float = 1e-3
    decay: float = 0.01
    decays: tuple[float, ...] = DECAYS
    """What a linear head chooses its decay from."""
    sweep: bool = False
    """A linear head learns by gradients, at many rates side by side, and chooses the rate."""
    seed: int = 0
    device: str = "cpu"
    half: bool = False
    """Forward passes in bfloat16."""
    workers: int = 0
    ragged: str = "stack"
    checkpoint: Path | None = None
    """Written after every epoch and every `every` batches; gone on from if it is there."""
    every: int = 1000

    def loader(self, lesson: TrainingSet, *, shuffle: bool) -> FeatureLoader:
        """Batches for it."""
        return FeatureLoader(
            lesson.dataset,
            self.batch,
            shuffle=shuffle,
            seed=self.seed,
            device=self.device,
            ragged=self.ragged,  # type: ignore[arg-type]
            workers=self.workers,
        )

    def to_json(self) -> dict[str, Any]:
        """As a run's config."""
        return {name: value for name, value in asdict(self).items() if name not in ("checkpoint", "device", "workers")}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "TrainingConfig":
        """From what `to_json` gave."""
        return cls(**{**told, "decays": tuple(told["decays"])})
