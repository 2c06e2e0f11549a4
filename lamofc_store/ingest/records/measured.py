"""Encode the features of each sample at the rate at which a consumer's answers diverge as much as was asked for."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lamofc_store.errors import BadArgument
from lamofc_store.ingest.items import Item
from lamofc_store.ingest.records.encoded import Encoded
from lamofc_store.ingest.request import IngestOptions
from lamofc_store.sample import Sample, layout, to_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from lamofc_codecs import Coding, Draw, Guide, Profile


def is_measured(profile: "Profile", options: IngestOptions) -> bool:
    """Whether divergences are measured of the records of a profile: where it knows errors in nats."""
    return options.measure is not None and "nats" in profile.config


def encode_measured(
    records: Sequence[Encoded], samples: Mapping[str, Sample], options: IngestOptions
) -> Iterator[Encoded]:
    """Encode records of whole samples again, those of a sample together; as foretold where it cannot be measured.

    A sample cannot be measured where the consumer cannot read it, or has no finite answer to what is decoded, and where
    tokens are missing before its first one.
    """
    by_sample: dict[str, list[Encoded]] = {}
    for record in records:
        if is_measured(record.profile, options) and record.foretold is not None:
            by_sample.setdefault(record.items[0].sample, []).append(record)
        else:
            yield record
    for name, own in by_sample.items():
        yield from _met(own, samples[name], options)


def _met(records: Sequence[Encoded], sample: Sample, options: IngestOptions) -> Sequence[Encoded]:
    """Return the records of a sample, each at the same foretold divergence, that meet the wanted one together.

    They are those that were given where the sample cannot be measured. An error of the guide or of the draws is passed
    on: it would be that of every sample.
    """
    from lamofc_codecs import NoFiniteAnswer, OutOfReach, encode_together

    items = [item for encoded in records for item in encoded.items]
    measure = _measure(items, sample, options) if not any(item.first_position for item in items) else None
    if measure is None or options.quality is None:
        return records
    started = time.perf_counter()
    codings = [_coding(encoded) for encoded in records]
    guide, draw = _guide(items, sample, options), _draw(items, sample, options)
    try:
        met = encode_together(codings, options.quality, measure, guide, draw)
    except (NoFiniteAnswer, OutOfReach):
        return records
    seconds = (time.perf_counter() - started) / len(items)
    coded = [
        replace(encoded, record=record, seconds=encoded.seconds + seconds, guided=met.guided)
        for encoded, record in zip(records, met.records, strict=True)
    ]
    foretold = [encoded.foretold or 0.0 for encoded in coded]
    total = sum(foretold)
    shares = [part / total if total else 1 / len(foretold) for part in foretold]
    return [replace(encoded, divergence=met.divergence * share) for encoded, share in zip(coded, shares, strict=True)]


def _measure(
    items: Sequence[Item], sample: Sample, options: IngestOptions
) -> "Callable[[Iterable[Tensor]], float] | None":
    """Return what measures decoded tokens x channels of a sample; None where the consumer cannot read it."""
    from lamofc_codecs import UnsupportedInput

    try:
        measure = None if options.measure is None else options.measure(sample.id, sample.features)
    except UnsupportedInput:
        measure = None
    if measure is None:
        return None
    return lambda decoded: measure(_restored(items, decoded))


def _guide(items: Sequence[Item], sample: Sample, options: IngestOptions) -> "Guide | None":
    """Return the guide of a sample; None where there is none, or the consumer cannot read the sample."""
    from lamofc_codecs import Guide

    of_sample = None if options.guide is None else options.guide(sample.id, sample.features)
    if of_sample is None:
        return None

    return Guide(lambda decoded: _slopes(items, sample.id, of_sample(_restored(items, decoded)), "guide"))


def _draw(items: Sequence[Item], sample: Sample, options: IngestOptions) -> "Draw | None":
    """Return the draws of a sample; None where there are none, or the consumer cannot read the sample."""
    of_sample = None if options.draw is None else options.draw(sample.id, sample.features)
    return None if of_sample is None else lambda: _slopes(items, sample.id, of_sample(), "draw")


def _slopes(items: Sequence[Item], sample: str, gradient: "Mapping[str, Tensor]", whose: str) -> "list[Tensor]":
    """Return a gradient by the features of a sample as tokens x channels of its items."""
    unread = [item.feature for item in items if item.feature not in gradient]
    if unread:
        raise BadArgument(
            f"sample {sample!r}: the {whose} gives no gradient by {unread}, so that it counts as not felt",
            "give features that the consumer reads",
        )
    return [to_tokens(gradient[item.feature], item.pattern) for item in items]


def _coding(encoded: Encoded) -> "Coding":
    """Return what a record codes: tokens of one feature, or of the features of a group."""
    from lamofc_codecs import Coding

    items = encoded.items
    element = {item.feature: item.tokens for item in items} if len(items) > 1 else items[0].tokens
    return Coding(element, encoded.profile, items[0].first_position)


def _restored(items: Sequence[Item], decoded: "Iterable[Tensor]") -> "dict[str, Tensor]":
    """Return decoded tokens x channels as the features of a sample."""
    return {
        item.feature: layout.from_tokens(tokens, item.pattern, item.shape)
        for item, tokens in zip(items, decoded, strict=True)
    }
