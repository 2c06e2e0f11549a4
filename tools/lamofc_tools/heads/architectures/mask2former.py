"""Mask2Former on the layers of a vision transformer: queries that each predict a mask and its class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.heads.architectures.mask_transformer import MaskPredictions, MaskTransformer, import_mask2former
from lamofc_tools.heads.architectures.pyramid import LEVELS, resampling
from lamofc_tools.heads.contract import BatchFeature, Head, Task, as_image

_GROUPS = 32
"""Channels are normalised in so many groups, which must divide their number."""
_FEED_FORWARD_RATIO = 4
"""Channels between the two layers of a feed-forward network, as a multiple of the inner channels."""


@dataclass(frozen=True)
class Mask2FormerOptions:
    """Options of a Mask2Former head. Numbers of layers and of queries are those of the paper."""

    prefix: int = 0
    """Tokens before the patches: the class token and registers."""
    grid: Sequence[int] | None = None
    """Rows and columns of patches; a square if none is given."""
    inner: int = 64
    """Channels of the maps and of the queries; a multiple of 32."""
    queries: int = 100
    encoder_layers: int = 6
    """Layers of deformable attention between the maps."""
    decoder_layers: int = 9
    heads: int = 8
    """Attention heads."""


class Mask2FormerHead(Head):
    """Maps of four sizes from one to four layers, decoded by the modules of transformers."""

    kind = "mask2former"
    tasks = ("segments",)
    options_type = Mask2FormerOptions

    def __init__(self, widths: Sequence[int], task: Task, **options: Any) -> None:
        super().__init__(widths, task, **options)
        settings = Mask2FormerOptions(**options)
        _check(widths, settings)
        self._prefix = settings.prefix
        self._grid = None if settings.grid is None else (settings.grid[0], settings.grid[1])
        self._layers = [level * len(widths) // LEVELS for level in range(LEVELS)]
        inner = settings.inner
        self.maps = nn.ModuleList(resampling(widths[layer], inner, level) for level, layer in enumerate(self._layers))
        self.transformer = MaskTransformer.new(_config(settings, task.classes), [inner] * LEVELS)

    def predictions(self, features: Sequence[BatchFeature]) -> MaskPredictions:
        """Predict masks and their classes."""
        images = [as_image(feature, self._prefix, self._grid).float() for feature in features]
        maps = [make(images[layer]) for make, layer in zip(self.maps, self._layers, strict=True)]
        predictions: MaskPredictions = self.transformer(maps)
        return predictions

    def forward(self, features: Sequence[BatchFeature]) -> Tensor:
        """Return samples x classes x rows x columns, four times the rows and columns of patches."""
        return self.predictions(features).scores()

    def loss(self, features: Sequence[BatchFeature], targets: Tensor) -> Tensor:
        """Return the set loss of the predicted masks."""
        return self.transformer.loss(self.predictions(features), targets)

    @torch.no_grad()
    def predict(self, features: Sequence[BatchFeature], targets: Tensor) -> Tensor:
        """Return scores of classes for each pixel of the targets."""
        return self.predictions(features).scores(targets.shape[-2:])


def _check(widths: Sequence[int], settings: Mask2FormerOptions) -> None:
    """Raise BadArgument for features or options of which no head can be made."""
    if not 1 <= len(widths) <= LEVELS:
        raise BadArgument(f"{len(widths)} features for a Mask2Former head", f"give 1 to {LEVELS}, from early to late")
    if settings.inner % _GROUPS or settings.inner % settings.heads:
        raise BadArgument(
            f"{settings.inner} channels in {settings.heads} attention heads and {_GROUPS} groups",
            Hint(f"give [inner] a multiple of {_GROUPS} that the heads divide"),
        )


def _config(settings: Mask2FormerOptions, classes: int) -> Any:
    """Return the config of transformers; the decoder's first predictions, of the bare queries, count as a layer."""
    return import_mask2former().Mask2FormerConfig(
        feature_size=settings.inner,
        mask_feature_size=settings.inner,
        hidden_dim=settings.inner,
        encoder_feedforward_dim=_FEED_FORWARD_RATIO * settings.inner,
        dim_feedforward=_FEED_FORWARD_RATIO * settings.inner,
        encoder_layers=settings.encoder_layers,
        decoder_layers=settings.decoder_layers + 1,
        num_attention_heads=settings.heads,
        num_queries=settings.queries,
        num_labels=classes,
    )
