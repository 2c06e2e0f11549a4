"""Sensitivity of a head: how much its outputs change with each direction in a feature's channels."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.heads.contract import BatchFeature, Head, tokens_and_mask

_MAX_EXACT_OUTPUTS = 64
"""Most outputs of a sample that are differentiated one by one; more are combined under random signs."""
_RANDOM_COMBINATIONS = 8
"""Combinations of outputs under random signs by which J'J is estimated."""


def sensitivity(head: Head, batches: Iterable[Sequence[BatchFeature]], seed: int = 0) -> list[Tensor]:
    """Return for each input feature the sum of J'J over samples and tokens, channels x channels.

    J is the Jacobian of a sample's outputs by the channels of a token. For a linear head on pooled tokens J'J is W W'
    of its matrix W. For many outputs it is estimated by gradients of their sums under random signs.
    """
    device = next(iter(head.state_dict().values())).device
    head = head.eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    sums = [torch.zeros(width, width, dtype=torch.float64) for width in head.widths]
    for features in batches:
        inputs = [tokens_and_mask(feature)[0].to(device, torch.float32).requires_grad_(True) for feature in features]
        outputs = head(inputs)
        for factors in _output_factors(outputs, generator):
            gradients = torch.autograd.grad((outputs * factors).sum(), inputs, retain_graph=True, allow_unused=True)
            for total, gradient in zip(sums, gradients, strict=True):
                if gradient is not None:
                    rows = gradient.flatten(0, -2).double().cpu()
                    total += rows.T @ rows
    return sums


def _output_factors(outputs: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the factors of the outputs in each sum that is differentiated."""
    if outputs.dim() == 2 and outputs.shape[1] <= _MAX_EXACT_OUTPUTS:
        yield from torch.eye(outputs.shape[1], device=outputs.device)[:, None]
        return
    for _ in range(_RANDOM_COMBINATIONS):
        signs = torch.randint(0, 2, outputs.shape, generator=generator) * 2 - 1
        yield signs.to(outputs) / _RANDOM_COMBINATIONS**0.5


def combined_weights(sensitivities: Sequence[Tensor]) -> Tensor:
    """Return error weights, channels x channels, in which each head's sensitivity to a feature counts the same."""
    normalised = [matrix / matrix.trace() for matrix in sensitivities if matrix.trace() > 0]
    if not normalised:
        raise BadArgument(
            f"none of {len(sensitivities)} heads is sensitive to the feature", "name heads that were trained on it"
        )
    values, vectors = torch.linalg.eigh(torch.stack(normalised).sum(0))
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root
