"""A consumer of a language model's features whose answers feel errors in proportion."""

import torch

from lamofc_tools.benchmarks.learning.peers.feature_coder import Sample

TOKENS = 40
SPREADS = {"layer.0.k_cache": 1.0, "layer.0.v_cache": 0.3, "layer.1.k_cache": 2.0, "layer.1.v_cache": 1.0}
SPREADS |= {"layer.1.output": 30.0}


class Felt:
    """A consumer whose answers feel errors of a sample as the weights foretell, of late tokens more."""

    def __init__(self, given: Sample) -> None:
        self.given, self.late = given, torch.linspace(0.1, 1.9, TOKENS)[:, None]

    def divergence(self, decoded: Sample) -> float:
        """Half the squared errors over the spreads, each token."""
        errors = [(value - decoded[name]) / SPREADS[name] for name, value in self.given.items() if name in decoded]
        return float(sum((self.late * error.square()).sum() for error in errors) / TOKENS / 2)

    def gradient(self, decoded: Sample, step: int) -> Sample:
        """The gradient of that."""
        return {
            name: self.late * (value - self.given[name]) / SPREADS[name] ** 2 / TOKENS
            for name, value in decoded.items()
        }

    def draw(self, step: int) -> Sample:
        """Errors of deviation 1 over the spreads."""
        generator = torch.Generator().manual_seed(step)
        return {
            name: self.late.sqrt() * torch.randn(value.shape, generator=generator) / SPREADS[name]
            for name, value in self.given.items()
        }
