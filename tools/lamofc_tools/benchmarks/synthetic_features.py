"""Synthetic features for benchmarks of speed and memory: random tokens, or patches of pictures.

Random tokens have a power-law spectrum under a random rotation, energies that differ between tokens, and one massive
activation each. Pictures are 32 x 32 patches of which neighbours are alike.
"""

import torch
from torch import Tensor

from lamofc_codecs.testing import picture

TOKENS = 1029
SHAPES = {"1029 x 384": 384, "1029 x 1024": 1024, "1029 x 4096": 4096, "picture x 1024": 1024}
"""Names of the shapes, each with its channels."""
COMPONENTS = 1024
"""Most columns of a `klt` profile that is fitted to synthetic features."""


def synthetic_features(shape: str, count: int, seed: int) -> list[Tensor]:
    """Generate tensors of one of the named shapes, float32."""
    if shape.startswith("picture"):
        return [picture(32, 32, SHAPES[shape], 1000 * seed + number, first=5) for number in range(count)]
    return random_tokens(SHAPES[shape], count, seed)


def random_tokens(channels: int, count: int, seed: int) -> list[Tensor]:
    """Generate tensors whose neighbouring tokens are independent, float32."""
    generator = torch.Generator().manual_seed(channels)
    rotation, _ = torch.linalg.qr(torch.randn(channels, channels, generator=generator))
    spectrum = (torch.arange(channels) + 3.0) ** -0.7
    tensors = []
    for number in range(count):
        generator = torch.Generator().manual_seed(1000 * seed + number)
        energy = torch.exp(0.3 * torch.randn(TOKENS, 1, generator=generator))
        tensor = (torch.randn(TOKENS, channels, generator=generator) * spectrum * energy) @ rotation * 30 + 1
        tensor[TOKENS // 2, channels // 3] = 5000.0
        tensors.append(tensor)
    return tensors
