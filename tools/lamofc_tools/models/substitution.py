"""Features of a sample as they are put back into a model."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from lamofc_store.errors import NotFound

Features = Mapping[str, Tensor]


def require_feature(features: Features, name: str) -> Tensor:
    """One of them, which the model cannot do without."""
    if name not in features:
        raise NotFound(
            f"a sample has no {name!r} to put back; it has {', '.join(sorted(features)[:8])}",
            "extract it: `lamofc extract` tells what it takes",
        )
    return features[name]


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Within it, that is the forward of a module."""
    before = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before
