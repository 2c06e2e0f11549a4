"""Features of a source or a store as planes, tokens x channels, a sample at a time."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from torch import Tensor

from lamofc_store import Store
from lamofc_store.layout import flatten, pattern_for
from lamofc_store.sources import Source, Spread

_MARKER = "lamofc.json"


def of_source(source: Source, patterns: Mapping[str, str], samples: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Id and planes of some samples, from all over the source where it can be read so."""
    several = source.spread() if isinstance(source, Spread) else source
    for sample in islice(several, samples):
        planes = {}
        for feature, tensor in sorted(sample.features.items()):
            if tensor.is_floating_point():
                pattern = pattern_for(feature, tuple(tensor.shape), patterns, sample.patterns)
                planes[feature] = flatten(tensor, pattern)
        yield sample.id, planes


def of_store(
    store: Store, features: Sequence[str], patterns: Mapping[str, str], samples: int | Sequence[str]
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The same of a store: so many samples from all over it, or those named."""
    asked = [samples] if isinstance(samples, int) else list(samples)
    ids = list(store)
    chosen = ids[:: max(1, len(ids) // asked[0])][: asked[0]] if isinstance(asked[0], int) else asked
    query = "SELECT feature, any_value(pattern) FROM records GROUP BY 1"
    held = dict(store.sql(query).fetchall())
    for sample in chosen:
        tensors = store.tensors(sample, list(features) or None)
        yield (
            sample,
            {
                name: flatten(tensor, pattern_for(name, tuple(tensor.shape), patterns, held))
                for name, tensor in sorted(tensors.items())
                if tensor.is_floating_point()
            },
        )


def is_store(place: str) -> bool:
    """Whether that is a store; sources are local."""
    return "://" in place or (Path(place) / _MARKER).is_file()
