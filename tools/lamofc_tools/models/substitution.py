"""Replace a module's forward for a while, so that it returns stored features instead of computing them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from lamofc_store.errors import NotFound

Features = Mapping[str, Tensor]
"""Features of one sample by name."""


def require_feature(features: Features, name: str) -> Tensor:
    """Return a feature of a sample; NotFound if the sample lacks it."""
    if name not in features:
        raise NotFound(
            f"a sample has no {name!r} to put back; it has {', '.join(sorted(features)[:8])}",
            "extract it: `lamofc extract` lists the features that it writes",
        )
    return features[name]


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Replace the forward of a module within the context, and restore the former one afterwards."""
    before = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before
