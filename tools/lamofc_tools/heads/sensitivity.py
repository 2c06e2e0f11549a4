"""What a head looks at: by how much its outputs change with each direction of a feature's channels."""

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.heads.head import Head
from lamofc_tools.heads.lesson import Lesson
from lamofc_tools.heads.tokens import tokens_of
from lamofc_tools.heads.training import Course

_DRAWS = 4
"""Random combinations of the outputs whose gradients are taken of each batch."""


def sensitivity(head: Head, lesson: Lesson, course: Course, samples: int = 256) -> dict[str, Tensor]:
    """For each feature channels x channels: the mean of J'J over samples and tokens, J of outputs by channels.

    Estimated by gradients of random signs times the outputs; of a linear head, W W' of its matrix.
    """
    head = head.to(course.device).eval().requires_grad_(False)
    noise = torch.Generator().manual_seed(course.seed)
    sums: list[Tensor] | None = None
    seen = 0
    for features, _ in lesson.batches(course.loader(lesson, shuffle=True)):
        inputs = [tokens_of(feature)[0].float().requires_grad_(True) for feature in features]
        outputs = head(inputs)
        for _ in range(_DRAWS):
            signs = torch.randint(0, 2, outputs.shape, generator=noise).to(outputs) * 2 - 1
            found = torch.autograd.grad((outputs * signs).sum(), inputs, retain_graph=True, allow_unused=True)
            here = [_squared(one, given) for one, given in zip(found, inputs, strict=True)]
            sums = here if sums is None else [one + other for one, other in zip(sums, here, strict=True)]
        seen += len(outputs)
        if seen >= samples:
            break
    return dict(zip(lesson.inputs, sums or [], strict=True))


def _squared(gradient: Tensor | None, given: Tensor) -> Tensor:
    if gradient is None:
        return torch.zeros(given.shape[-1], given.shape[-1], dtype=torch.float64)
    rows = gradient.flatten(0, -2).double()
    return (rows.T @ rows).cpu()


def joined(found: list[Tensor]) -> Tensor:
    """The weight of several heads: each counts for as much as any other; channels x channels, to fit with."""
    usable = [one / one.trace() for one in found if one.trace() > 0]
    if not usable:
        raise BadArgument("no head looks at the feature", "name heads that were trained on it")
    sizes, turned = torch.linalg.eigh(torch.stack(usable).sum(0))
    root: Tensor = (turned * sizes.clamp_min(0).sqrt()) @ turned.T
    return root
