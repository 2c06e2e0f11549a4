"""Compare pictures by the features that a vision model has of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.metrics import frechet_distance
from lamofc_tools.models import LoadedModel


@dataclass(frozen=True)
class PictureJudge:
    """A vision model without a head."""

    loaded: LoadedModel

    def __post_init__(self) -> None:
        if self.loaded.kind.inputs != "images":
            raise BadArgument(
                f"{self.loaded.name} takes {self.loaded.kind.inputs}", Hint("give [judge] a model of images, as DINOv2")
            )
        frechet_distance(torch.eye(2), torch.eye(2))  # raises at once if the package that computes it is missing

    @torch.no_grad()
    def features(self, picture: Tensor) -> Tensor:
        """Return the mean over the final states of a picture, height x width x 3 from 0 to 1."""
        values = (picture * 255).round().to(torch.uint8).numpy()
        prepared = self.loaded.processor(images=[values], return_tensors="pt")
        pixels = prepared["pixel_values"].to(next(self.loaded.model.parameters()))
        states: Tensor = self.loaded.model(pixel_values=pixels).last_hidden_state
        means = states.mean(1) if self.loaded.kind.pattern is None else states.flatten(2).mean(2)
        return means[0].double().cpu()


@dataclass
class JudgedPictures:
    """Features of pictures, and of those that the unbroken pipeline makes of the same prompts."""

    judge: PictureJudge
    found: list[Tensor] = field(init=False, default_factory=list)

    def add(self, picture: Tensor) -> None:
        """Add a picture."""
        self.found.append(self.judge.features(picture))

    def values(self, unbroken: Sequence[Tensor]) -> dict[str, float]:
        """Return the mean cosine of features, and for two or more pictures the Fréchet distance between both sets."""
        sets = torch.stack(self.found), torch.stack(list(unbroken))
        values = {"cosine": float(torch.cosine_similarity(*sets).mean())}
        return values if len(self.found) == 1 else {**values, "fid": frechet_distance(*sets)}
