"""The vision transformer of the demo, trained on handwritten digits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_tools.benchmarks.learning.readers.labelled_encoder import HEAD_ENDING, LabelledEncoder
from lamofc_tools.demo import digits, vit
from lamofc_tools.models import LoadedModel, ModelInput, ModelKind

_SEED = 0
_KIND = ModelKind("images", ("digit_vit",), "", heads=(HEAD_ENDING,), patches=True)
_CONFIG = SimpleNamespace(num_hidden_layers=vit.BLOCKS, patch_size=2, is_encoder_decoder=False)


def digit_encoder(learned_from: int, measured: int, epochs: int) -> LabelledEncoder:
    """Train the model; a codec learns from some of the training digits, and is measured on others."""
    data = digits.load(_SEED)
    model = vit.train(data, epochs, _SEED, lambda done, total: None)
    items = [_Digit(f"digit_{number:04d}", Path(), pixels=image) for number, image in enumerate(data.images)]
    labels = {item.id: int(label) for item, label in zip(items, data.labels, strict=True)}
    inputs = items[: min(learned_from, data.training)], items[data.training :][:measured]
    norm, linear = model.head
    body = LoadedModel("digit-vit", _KIND, _CONFIG, "cpu", _States(model, norm), _stacked)
    return LabelledEncoder.of(body, _ClassTokenHead(linear), inputs, labels)


@dataclass(frozen=True, eq=False)
class _Digit(ModelInput):
    """A digit, which is in memory."""

    pixels: Tensor = field(default_factory=lambda: torch.zeros(8, 8))

    def image(self) -> Tensor:
        return self.pixels


def _stacked(images: list[Tensor], **_: Any) -> dict[str, Tensor]:
    """Prepare a batch of images."""
    return {"pixel_values": torch.stack(images)}


class _States(nn.Module):
    """The model without its last matrix: normalised tokens after the last block."""

    def __init__(self, model: vit.DigitViT, norm: nn.Module) -> None:
        super().__init__()
        self.model, self.norm = model, norm

    def forward(self, pixel_values: Tensor) -> Any:
        return SimpleNamespace(last_hidden_state=self.norm(self.model.hidden(pixel_values)[-1]))


class _ClassTokenHead(nn.Module):
    """The last matrix, on the class token."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, states: Tensor) -> Tensor:
        scores: Tensor = self.linear(states[:, 0])
        return scores
