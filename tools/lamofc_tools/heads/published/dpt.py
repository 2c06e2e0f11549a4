"""The DPT decoder of DINOv2 and DINOv3, whose parameters keep the names that they have in released files."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lamofc_store.sample import Grid
from lamofc_tools.heads.published.decoder import TokenDecoder, patch_map
from lamofc_tools.heads.published.depth_bins import DepthBins

LAYERS = 4


class DinoDpt(TokenDecoder):
    """Four layers as maps of four sizes, fused from coarse to fine; the outputs are bins of depths, or one depth.

    Shapes of the weights decide the channels; which weights there are decides whether class tokens are read out,
    patches are normalised by batch statistics, and the fused map is projected.
    """

    def __init__(self, weights: Mapping[str, Tensor], bins: DepthBins) -> None:
        super().__init__()
        inner = len(weights["convs.0.conv.weight"])
        biased = "fusion_blocks.0.res_conv_unit2.conv1.conv.bias" in weights
        self.bins = bins
        self.reassemble_blocks = _Reassembly(weights)
        self.convs = nn.ModuleList(
            _Convolution(weights[f"convs.{layer}.conv.weight"].shape[1], inner, 3, bias=False)
            for layer in range(LAYERS)
        )
        self.fusion_blocks = nn.ModuleList(_Fusion(inner, biased, coarsest=place == 0) for place in range(LAYERS))
        projected = "project.conv.weight" in weights
        self.project = nn.Sequential()
        if projected:
            self.project.add_module("conv", nn.Conv2d(inner, inner, 3, padding=1))
            self.project.add_module("activate", nn.ReLU())
        self.conv_depth = nn.Sequential()
        self.conv_depth.add_module("head", _outputs(weights, inner))
        self.load_state_dict(dict(weights))

    def forward(self, layers: Sequence[Tensor], grid: Grid) -> Tensor:
        """Return depths, sixteen times the rows and columns of patches."""
        maps = [smooth(image) for smooth, image in zip(self.convs, self.reassemble_blocks(layers, grid), strict=True)]
        fused = self.fusion_blocks[0](maps[-1])
        for fuse, image in zip(self.fusion_blocks[1:], reversed(maps[:-1]), strict=True):
            fused = fuse(fused, image)
        return self.bins.depths(self.conv_depth(self.project(fused)))

    @staticmethod
    def widths(weights: Mapping[str, Tensor]) -> tuple[int, ...]:
        """Return the channels of the layers that the decoder of these weights reads."""
        return tuple(weights[f"reassemble_blocks.projects.{layer}.conv.weight"].shape[1] for layer in range(LAYERS))


class _Convolution(nn.Module):
    """A convolution that keeps the size, under the name that it has in files."""

    def __init__(self, channels: int, outputs: int, size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, outputs, size, padding=size // 2, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve maps."""
        convolved: Tensor = self.conv(images)
        return convolved


class _Reassembly(nn.Module):
    """Tokens of four layers to maps of four sizes."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        widths = DinoDpt.widths(weights)
        sizes = [len(weights[f"reassemble_blocks.projects.{layer}.conv.weight"]) for layer in range(LAYERS)]
        self.projects = nn.ModuleList(_Convolution(*channels, 1) for channels in zip(widths, sizes, strict=True))
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(sizes[0], sizes[0], 4, stride=4),
                nn.ConvTranspose2d(sizes[1], sizes[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(sizes[3], sizes[3], 3, stride=2, padding=1),
            ]
        )
        self.readout_projects = nn.ModuleList()
        if "reassemble_blocks.readout_projects.0.0.weight" in weights:
            self.readout_projects.extend(nn.Sequential(nn.Linear(2 * width, width), nn.GELU()) for width in widths)
        normalised = "reassemble_blocks.batchnorm_layers.0.weight" in weights
        self.batchnorm_layers = nn.ModuleList(
            nn.BatchNorm2d(width) if normalised else nn.Identity() for width in widths
        )

    def forward(self, layers: Sequence[Tensor], grid: Grid) -> list[Tensor]:
        """Return maps of 4, 2, 1 and 1/2 times the rows and columns of patches."""
        maps = []
        for number, tokens in enumerate(layers):
            image = patch_map(self._read_out(tokens, number), grid)
            maps.append(self.resize_layers[number](self.projects[number](self.batchnorm_layers[number](image))))
        return maps

    def _read_out(self, tokens: Tensor, layer: int) -> Tensor:
        """Concatenate the class token to every token and project the pair, if the decoder does so."""
        if not len(self.readout_projects):
            return tokens
        pairs = torch.cat([tokens, tokens[:, :1].expand_as(tokens)], dim=-1)
        projected: Tensor = self.readout_projects[layer](pairs)
        return projected


class _Residual(nn.Module):
    """Two convolutions, each behind a rectifier, added to their input."""

    def __init__(self, inner: int, biased: bool) -> None:
        super().__init__()
        self.conv1 = _Convolution(inner, inner, 3, bias=biased)
        self.conv2 = _Convolution(inner, inner, 3, bias=biased)

    def forward(self, images: Tensor) -> Tensor:
        """Map images to the same shape."""
        changed: Tensor = images + self.conv2(torch.relu(self.conv1(torch.relu(images))))
        return changed


class _Fusion(nn.Module):
    """Add the map of a layer to the fused map of the coarser layers, and double the size."""

    def __init__(self, inner: int, biased: bool, *, coarsest: bool) -> None:
        super().__init__()
        self.project = _Convolution(inner, inner, 1)
        self.res_conv_unit1 = None if coarsest else _Residual(inner, biased)
        self.res_conv_unit2 = _Residual(inner, biased)

    def forward(self, fused: Tensor, image: Tensor | None = None) -> Tensor:
        """Return a map of twice the rows and columns."""
        if image is not None and self.res_conv_unit1 is not None:
            if image.shape != fused.shape:
                image = interpolate(image, size=fused.shape[-2:], mode="bilinear", align_corners=False)
            fused = fused + self.res_conv_unit1(image)
        larger = interpolate(self.res_conv_unit2(fused), scale_factor=2, mode="bilinear", align_corners=True)
        projected: Tensor = self.project(larger)
        return projected


def _outputs(weights: Mapping[str, Tensor], inner: int) -> nn.Sequential:
    """Double the size and make the outputs; the layers without weights have numbers in files, too."""
    hidden, bins = len(weights["conv_depth.head.2.weight"]), len(weights["conv_depth.head.4.weight"])
    return nn.Sequential(
        nn.Conv2d(inner, inner // 2, 3, padding=1),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        nn.Conv2d(inner // 2, hidden, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(hidden, bins, 1),
    )
