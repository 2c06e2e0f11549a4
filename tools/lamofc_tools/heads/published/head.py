"""A head that others trained, as a `Head`: it reads the outputs of blocks as a store keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lamofc_store.errors import BadArgument, Hint
from lamofc_store.sample import Grid
from lamofc_tools.heads.contract import BatchFeature, Head, tokens_and_mask
from lamofc_tools.heads.published.decoder import HeadParts

_MIRRORED = 2
"""Images in one feature of depth estimation: the image and its mirror image, whose depths are averaged."""


@dataclass(frozen=True)
class NoOptions:
    """A published head is complete; it takes no options."""


class PublishedHead(Head):
    """The final norm of a vision transformer, then a decoder."""

    kind = "published"
    tasks = ("classes", "segments", "depth")
    options_type = NoOptions
    trainable = False

    def __init__(self, parts: HeadParts, norm: nn.LayerNorm | None, grid: Grid) -> None:
        super().__init__(parts.widths, parts.task)
        self.norm, self.decoder, self.grid = norm, parts.decoder, grid
        self._normed = parts.normed
        self.eval()

    def forward(self, features: Sequence[BatchFeature]) -> Tensor:
        """Return the outputs for a batch; of a feature with several images, for each of them."""
        outputs: Tensor = self.decoder(self._layers(features), self.grid)
        return outputs

    @torch.no_grad()
    def predict(self, features: Sequence[BatchFeature], targets: Tensor) -> Tensor:
        """Return scores of classes, or maps in the size of the targets."""
        layers = self._layers(features)
        images, spare = divmod(len(layers[0]), len(targets))
        if spare or (images != 1 and (self.task.kind, images) != ("depth", _MIRRORED)):
            raise BadArgument(
                f"{images} images in a feature for {self.task.kind}",
                "store each image as a sample of its own; only depth takes two, an image and its mirror image",
            )
        if self.task.kind == "classes":
            scores: Tensor = self.decoder(layers, self.grid)
            return scores
        maps = self.decoder.resized(layers, self.grid, targets.shape[-2:])
        if images == _MIRRORED:
            maps = (maps[::2] + maps[1::2].flip(-1)) / 2
        return maps[:, 0] if self.task.kind == "depth" else maps

    def _layers(self, features: Sequence[BatchFeature]) -> list[Tensor]:
        layers = [self._tokens(feature) for feature in features]
        return [
            self.norm(tokens) if self.norm is not None and normed else tokens
            for tokens, normed in zip(layers, self._normed, strict=True)
        ]

    def _tokens(self, feature: BatchFeature) -> Tensor:
        """Return images x tokens x channels."""
        values, mask = tokens_and_mask(feature)
        if mask is not None or values.shape[1] % self.grid.tokens:
            raise BadArgument(
                f"{values.shape[1]} tokens are no images of {self.grid.prefix} + {self.grid.height} x"
                f" {self.grid.width} = {self.grid.tokens}",
                Hint("give [grid] P+HxW: P class and register tokens, then H rows of W patches"),
            )
        return values.reshape(-1, self.grid.tokens, values.shape[-1]).float()
