"""Heads of models that transformers keeps in a folder, on a backbone of DINOv2 or DINOv3."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_codecs import MissingExtra
from lamofc_store.errors import BadArgument, first_line
from lamofc_store.sample import Grid
from lamofc_tools.heads.architectures import MaskPredictions, MaskTransformer
from lamofc_tools.heads.contract import Task
from lamofc_tools.heads.published.decoder import HeadParts, TokenDecoder, patch_map
from lamofc_tools.heads.published.linear import LinearClassifier

_BACKBONES = ("dinov2", "dinov2_with_registers", "dinov3_vit")
"""Types of backbones whose final norm and tokens are known here."""
_UNNAMED = "LABEL_"
"""Beginning of the names that transformers gives to classes without names."""


def read_folder(folder: Path) -> HeadParts:
    """Load a model by transformers and take its head; the blocks of the backbone are dropped."""
    architecture = _architecture(folder)
    model = _load(folder, architecture)
    parts = _ARCHITECTURES[architecture](model)
    names = [str(model.config.id2label[number]) for number in sorted(model.config.id2label)]
    unnamed = parts.task.kind == "depth" or all(name.startswith(_UNNAMED) for name in names)
    return HeadParts(**{**vars(parts), "names": () if unnamed else tuple(names)})


def _architecture(folder: Path) -> str:
    """Return the class of the model in a folder, if its head is known here."""
    try:
        config = json.loads((folder / "config.json").read_text())
        architecture = str((config["architectures"] or [None])[0])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise BadArgument(
            f"{folder} holds no model: {error}", "name a folder of save_pretrained, or a file of weights"
        ) from error
    if architecture not in _ARCHITECTURES:
        raise BadArgument(f"{folder} holds a {architecture}", f"one of {', '.join(_ARCHITECTURES)}")
    return architecture


def _load(folder: Path, architecture: str) -> Any:
    """Load a model whose weights are all there; code that a folder may hold is not run."""
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra(f"models need transformers: {error}", "pip install 'lamofc-store[models]'") from error
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model, report = getattr(transformers, architecture).from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # the loaders of configs and weights pass on errors of many libraries
        raise BadArgument(f"{folder} cannot be loaded: {first_line(error)}", "fetch the model again") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise BadArgument(f"{folder} lacks {len(missing)} weights, such as {missing[0]}", "fetch the model again")
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class _Backbone:
    """Facts on the backbone of a model."""

    config: Any
    norm: nn.LayerNorm

    @classmethod
    def of(cls, backbone: Any) -> _Backbone:
        """Read them; BadArgument for a backbone of a type that is not known."""
        if backbone.config.model_type not in _BACKBONES:
            raise BadArgument(
                f"a head on a backbone of type {backbone.config.model_type!r}", f"one of {', '.join(_BACKBONES)}"
            )
        return cls(backbone.config, getattr(backbone, "norm", None) or backbone.layernorm)

    @property
    def prefix(self) -> int:
        """Tokens before the patches."""
        return 1 + int(getattr(self.config, "num_register_tokens", 0) or 0)

    def parts(self, decoder: TokenDecoder, task: Task, *, classifies: bool = False) -> HeadParts:
        """Return the parts of a head on the blocks that the config names, or on the last one."""
        last = self.config.num_hidden_layers
        stages = [last] if classifies else list(self.config.out_indices)
        if min(stages) < 1:
            raise BadArgument(f"a head on stages {stages}", "stage 0 is before the first block and is not extracted")
        own_rule = [self.config.model_type == "dinov3_vit" and stage == last for stage in stages]
        normed = [classifies or bool(self.config.apply_layernorm) or own for own in own_rule]
        widths = (self.config.hidden_size,) * len(stages)
        return HeadParts(
            decoder, task, widths, tuple(normed), self.norm, self.prefix, tuple(stage - 1 for stage in stages)
        )


def _classifier(model: Any) -> HeadParts:
    decoder = LinearClassifier(model.classifier)
    return _Backbone.of(model.base_model).parts(decoder, Task("classes", model.config.num_labels), classifies=True)


def _dpt(model: Any) -> HeadParts:
    if model.backbone is None or model.backbone.config.reshape_hidden_states:
        raise BadArgument("a DPT head without a backbone of tokens", "save it with reshape_hidden_states=False")
    return _Backbone.of(model.backbone).parts(_Dpt(model.neck, model.head), Task("depth"))


def _chmv2(model: Any) -> HeadParts:
    decoder = _Chmv2(model.head, model.features_to_depth)
    return _Backbone.of(model.backbone).parts(decoder, Task("depth"))


def _mask2former(model: Any) -> HeadParts:
    pixels = model.model.pixel_level_module
    transformer = MaskTransformer(model.config, pixels.decoder, model.model.transformer_module, model.class_predictor)
    task = Task("segments", model.config.num_labels)
    return _Backbone.of(pixels.encoder).parts(Mask2FormerDecoder(transformer), task)


class _Dpt(TokenDecoder):
    """Neck and head of `DPTForDepthEstimation`."""

    def __init__(self, neck: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.neck, self.head = neck, head

    def forward(self, layers: Sequence[Tensor], grid: Grid) -> Tensor:
        """Return depths, samples x 1 x rows x columns."""
        depths: Tensor = self.head(self.neck(list(layers), grid.height, grid.width))
        return depths[:, None]


class _Chmv2(TokenDecoder):
    """Head of `CHMv2ForDepthEstimation`, the DPT decoder of DINOv3."""

    def __init__(self, head: nn.Module, depths: nn.Module) -> None:
        super().__init__()
        self.head, self.depths = head, depths

    def forward(self, layers: Sequence[Tensor], grid: Grid) -> Tensor:
        """Return depths, samples x 1 x rows x columns."""
        pairs = [(patch_map(tokens, grid), tokens[:, 0, :]) for tokens in layers]
        depths: Tensor = self.depths(self.head(pairs, grid.height, grid.width))
        return depths


class Mask2FormerDecoder(TokenDecoder):
    """Mask2Former on the maps of patches as they are, without a pyramid."""

    def __init__(self, transformer: MaskTransformer) -> None:
        super().__init__()
        self.transformer = transformer

    def predictions(self, layers: Sequence[Tensor], grid: Grid) -> MaskPredictions:
        """Predict masks and their classes."""
        predictions: MaskPredictions = self.transformer([patch_map(tokens, grid) for tokens in layers])
        return predictions

    def forward(self, layers: Sequence[Tensor], grid: Grid) -> Tensor:
        """Return scores of classes in the size of the masks."""
        return self.predictions(layers, grid).scores()

    def resized(self, layers: Sequence[Tensor], grid: Grid, size: Sequence[int]) -> Tensor:
        """Return scores of classes of masks that are resized first."""
        return self.predictions(layers, grid).scores(size)


_ARCHITECTURES: dict[str, Callable[[Any], HeadParts]] = {
    "Dinov2ForImageClassification": _classifier,
    "Dinov2WithRegistersForImageClassification": _classifier,
    "DPTForDepthEstimation": _dpt,
    "CHMv2ForDepthEstimation": _chmv2,
    "Mask2FormerForUniversalSegmentation": _mask2former,
}
"""Classes of models in folders, with the function that takes their heads."""
