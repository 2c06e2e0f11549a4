"""Features of a sample as they are put back into a model."""

from collections.abc import Mapping

from torch import Tensor

from lamofc_store.errors import NotFound

Features = Mapping[str, Tensor]


def needed(features: Features, name: str) -> Tensor:
    """One of them, which the model cannot do without."""
    if name not in features:
        raise NotFound(
            f"a sample has no {name!r} to put back; it has {', '.join(sorted(features)[:8])}",
            "extract it: `lamofc extract` tells what it takes",
        )
    return features[name]
