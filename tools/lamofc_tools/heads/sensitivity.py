"""What a head looks at: by how much its outputs change with each direction of a feature's channels."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.heads.contract import Given, Head, tokens_of

_FEW = 64
"""Outputs of a sample up to which each is looked at by itself; of more, random combinations are."""
_DRAWS = 8


def sensitivity(head: Head, batches: Iterable[Sequence[Given]], seed: int = 0) -> list[Tensor]:
    """For each of its features channels x channels: the sum of J'J over samples and tokens, J of outputs by channels.

    Of a linear head on pooled tokens that is W W' of its matrix. Of many outputs it is estimated, by gradients of them
    under random signs.
    """
    device = next(iter(head.state_dict().values())).device
    head = head.eval().requires_grad_(False)
    noise = torch.Generator().manual_seed(seed)
    sums = [torch.zeros(width, width, dtype=torch.float64) for width in head.widths]
    for features in batches:
        inputs = [tokens_of(feature)[0].to(device, torch.float32).requires_grad_(True) for feature in features]
        outputs = head(inputs)
        for mix in _mixes(outputs, noise):
            found = torch.autograd.grad((outputs * mix).sum(), inputs, retain_graph=True, allow_unused=True)
            for total, gradient in zip(sums, found, strict=True):
                if gradient is not None:
                    rows = gradient.flatten(0, -2).double().cpu()
                    total += rows.T @ rows
    return sums


def _mixes(outputs: Tensor, noise: torch.Generator) -> Iterator[Tensor]:
    """By what the outputs of each sample are multiplied before they are added up."""
    if outputs.dim() == 2 and outputs.shape[1] <= _FEW:
        yield from torch.eye(outputs.shape[1], device=outputs.device)[:, None]
        return
    for _ in range(_DRAWS):
        signs = torch.randint(0, 2, outputs.shape, generator=noise) * 2 - 1
        yield signs.to(outputs) / _DRAWS**0.5


def joined(found: Sequence[Tensor]) -> Tensor:
    """The weight of several heads: each counts for as much as any other; channels x channels, to fit with."""
    usable = [one / one.trace() for one in found if one.trace() > 0]
    if not usable:
        raise BadArgument("no head looks at the feature", "name heads that were trained on it")
    sizes, turned = torch.linalg.eigh(torch.stack(usable).sum(0))
    root: Tensor = (turned * sizes.clamp_min(0).sqrt()) @ turned.T
    return root
