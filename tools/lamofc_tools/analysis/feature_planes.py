"""Features of a source or a store as planes, tokens x channels, one sample at a time."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from torch import Tensor

from lamofc_store import Store
from lamofc_store.sample import pattern_for, to_tokens
from lamofc_store.sources import Source, Spreadable, spread_order

Planes = dict[str, Tensor]
"""Planes of one sample by feature."""
Patterns = Mapping[str, str]


def source_planes(source: Source, patterns: Patterns, samples: int | None = None) -> Iterator[tuple[str, Planes]]:
    """Yield ids and planes of all samples, or of so many, spread over a source that can be read in any order."""
    spread = source.spread() if isinstance(source, Spreadable) else source
    for sample in islice(spread, samples):
        yield sample.id, _planes(sample.features, patterns, sample.patterns)


def store_planes(
    store: Store, samples: Sequence[str], features: Sequence[str], patterns: Patterns
) -> Iterator[tuple[str, Planes]]:
    """Yield ids and planes of the named samples of a store."""
    query = "SELECT feature, pattern FROM records WHERE sample = ? AND list_contains(?, feature)"
    for sample in samples:
        stored = dict(store.sql(query, [sample, list(features)]).fetchall())
        yield sample, _planes(store.tensors(sample, list(stored)), patterns, stored)


def spread_samples(store: Store, features: Sequence[str], samples: int) -> list[str]:
    """Choose ids of samples that have any of the features, spread over the store."""
    query = "SELECT DISTINCT sample FROM records WHERE list_contains(?, feature) ORDER BY 1"
    ids = [sample for (sample,) in store.sql(query, [list(features)]).fetchall()]
    return [ids[place] for place in islice(spread_order(len(ids)), samples)]


def _planes(features: Mapping[str, Tensor], patterns: Patterns, own: Patterns) -> Planes:
    return {
        name: to_tokens(tensor, pattern_for(name, tuple(tensor.shape), patterns, own))
        for name, tensor in sorted(features.items())
        if tensor.is_floating_point()
    }
