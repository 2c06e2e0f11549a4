"""Encode features of one sample at the rate at which a consumer's answers diverge as much as was asked for."""

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lamofc_store.ingest.items import Item
from lamofc_store.ingest.records.encoded import Encoded
from lamofc_store.ingest.request import IngestOptions
from lamofc_store.sample import layout

if TYPE_CHECKING:
    from torch import Tensor

    from lamofc_codecs import Profile


class _UnmeasuredError(Exception):
    """The consumer cannot read a sample, or its answers to what is decoded have no finite divergence."""


def is_measured(profile: "Profile", options: IngestOptions) -> bool:
    """Whether divergences are measured of the records of a profile: where it knows errors in nats."""
    return options.measure is not None and "nats" in profile.config


def encode_measured(items: Sequence[Item], profile: "Profile", options: IngestOptions) -> Encoded:
    """Encode features of one sample into one record; as foretold where the consumer cannot read or answer it."""
    from lamofc_codecs import encode, encode_measured

    started = time.perf_counter()
    first = items[0].first_position
    coded = {item.feature: item.tokens for item in items} if len(items) > 1 else items[0].tokens
    measure = _measure_of(items, options)
    try:
        if measure is None or options.quality is None:
            raise _UnmeasuredError
        record, divergence = encode_measured(coded, profile, options.quality, measure, first_position=first)
    except _UnmeasuredError:
        (record,), divergence = encode([coded], profile, quality=options.quality, first_positions=[first]), None
    seconds = (time.perf_counter() - started) / len(items)
    return Encoded(items, record, profile, options.quality_text, seconds, divergence)


def _measure_of(items: Sequence[Item], options: IngestOptions) -> "Callable[[list[Tensor]], float] | None":
    """Return the measure of decoded tokens x channels of a sample; None where the consumer cannot read the sample."""
    if options.measure is None:
        return None
    measure = options.measure(items[0].sample, {item.feature: _restored(item, item.tokens) for item in items})
    if measure is None:
        return None

    def measure_decoded(decoded: "list[Tensor]") -> float:
        parts = zip(items, decoded, strict=True)
        found = measure({item.feature: _restored(item, tokens) for item, tokens in parts})
        if not math.isfinite(found):
            raise _UnmeasuredError
        return found

    return measure_decoded


def _restored(item: Item, tokens: "Tensor") -> "Tensor":
    """Return tokens x channels as the feature of an item."""
    return layout.from_tokens(tokens, item.pattern, item.shape)
