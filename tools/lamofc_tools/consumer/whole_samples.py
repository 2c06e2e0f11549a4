"""Samples of a source of which every token is known, on which a metric is measured without their texts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from lamofc_store import Sample
from lamofc_store.errors import BadArgument
from lamofc_store.sources import Source, Spreadable, Tolerant
from lamofc_tools.consumer.decoder import Split
from lamofc_tools.models import Features

_TRIED_SAMPLES = 4
"""Samples of a source that are read, for each that is wanted, to find those with all of their tokens."""


def whole_samples(split: Split, source: Source, count: int) -> Iterator[tuple[str, Features]]:
    """Yield the ids and features of samples from all over a source; BadArgument if none has all of its tokens.

    Samples of which a window has kept the last tokens alone teach nothing of a model, and are passed over.
    """
    tried = islice(_readable(source), _TRIED_SAMPLES * count)
    whole = (sample for sample in tried if _begins_at_start(sample) and split.is_whole(sample.features))
    first = next(whole, None)
    if first is None:
        raise BadArgument(
            f"none of {_TRIED_SAMPLES * count} samples of {source.describe()} has every token of its text",
            "give features of shorter texts, of which the model's window holds every token",
        )
    return ((sample.id, sample.features) for sample in islice(chain([first], whole), count))


def _readable(source: Source) -> Iterator[Sample]:
    """Yield samples from all over a source; those that cannot be read are passed over."""
    spread = source.spread() if isinstance(source, Spreadable) else source
    attempts = spread.attempts() if isinstance(spread, Tolerant) else iter(spread)
    return (sample for sample in attempts if isinstance(sample, Sample))


def _begins_at_start(sample: Sample) -> bool:
    """Whether the features of a sample begin with the first token of its text."""
    return not any(sample.first_position(feature) for feature in sample.features)


def at_most(count: int, source: Source) -> int:
    """Return a number of samples, or that of the source where it has fewer and knows it."""
    try:
        return min(count, len(source))
    except TypeError:
        return count
