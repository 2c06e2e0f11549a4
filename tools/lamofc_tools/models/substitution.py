"""Substitution: a module's forward is replaced for a while, so that stored features stand for what it would compute."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from lamofc_store.errors import NotFound

Features = Mapping[str, Tensor]
"""Features of one sample by name."""


def require_feature(features: Features, name: str) -> Tensor:
    """Return a feature; NotFound if the sample does not have it."""
    if name not in features:
        raise NotFound(
            f"a sample has no {name!r} to put back; it has {', '.join(sorted(features)[:8])}",
            "extract it: `lamofc extract` lists the features that it writes",
        )
    return features[name]


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Replace the forward of a module within the context."""
    before = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before
