"""Linear decoders: of whole samples, and of each patch."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lamofc_store.sample import Grid
from lamofc_tools.heads.published.decoder import TokenDecoder, patch_map
from lamofc_tools.heads.published.depth_bins import DepthBins


class LinearClassifier(TokenDecoder):
    """The class tokens of all layers beside the mean patch of the last, times a matrix."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, layers: Sequence[Tensor], grid: Grid) -> Tensor:
        """Return logits, samples x classes."""
        class_tokens = [tokens[:, 0] for tokens in layers]
        logits: Tensor = self.linear(torch.cat([*class_tokens, layers[-1][:, grid.prefix :].mean(dim=1)], dim=1))
        return logits


class LinearMaps(TokenDecoder):
    """The patches of all layers side by side, each times a matrix; for depth, the outputs are bins."""

    def __init__(
        self, classify: nn.Conv2d, norm: nn.Module, *, bins: DepthBins | None, class_token: bool, upsampling: int = 1
    ) -> None:
        super().__init__()
        self.norm, self.classify = norm, classify
        self.bins, self._class_token, self._upsampling = bins, class_token, upsampling

    def forward(self, layers: Sequence[Tensor], grid: Grid) -> Tensor:
        """Return maps of scores, or of depths."""
        maps = []
        for tokens in layers:
            image = patch_map(tokens, grid)
            maps += [image, tokens[:, 0, :, None, None].expand_as(image)] if self._class_token else [image]
        outputs: Tensor = self.classify(self.norm(torch.cat(maps, dim=1)))
        if self._upsampling > 1:
            outputs = interpolate(outputs, scale_factor=self._upsampling, mode="bilinear", align_corners=False)
        return outputs if self.bins is None else self.bins.depths(outputs)
