"""Encode the features of each sample at the rate at which a consumer's answers diverge as much as was asked for."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lamofc_store.ingest.items import Item
from lamofc_store.ingest.records.encoded import Encoded
from lamofc_store.ingest.request import IngestOptions
from lamofc_store.sample import Sample, layout, to_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from lamofc_codecs import Profile


class _UnmeasuredError(Exception):
    """The consumer's answers to what is decoded have no finite divergence."""


def is_measured(profile: "Profile", options: IngestOptions) -> bool:
    """Whether divergences are measured of the records of a profile: where it knows errors in nats."""
    return options.measure is not None and "nats" in profile.config


def encode_measured(
    records: Sequence[Encoded], samples: Mapping[str, Sample], options: IngestOptions
) -> Iterator[Encoded]:
    """Encode records of whole samples again, those of a sample together; as foretold where it cannot be measured.

    A sample cannot be measured where the consumer cannot read it, or has no finite answer to what is decoded.
    """
    by_sample: dict[str, list[Encoded]] = {}
    for record in records:
        if is_measured(record.profile, options) and record.foretold is not None:
            by_sample.setdefault(record.items[0].sample, []).append(record)
        else:
            yield record
    for name, own in by_sample.items():
        try:
            yield from _met(own, samples[name], options)
        except _UnmeasuredError:
            yield from own


def _met(records: Sequence[Encoded], sample: Sample, options: IngestOptions) -> Sequence[Encoded]:
    """Return the records of a sample, each at the same foretold divergence, that meet the wanted one together."""
    from lamofc_codecs import GUIDED_SAVING, meet_divergence

    measure = None if options.measure is None else options.measure(sample.id, sample.features)
    if measure is None or options.quality is None:
        return records
    wanted = options.quality.value
    guided = _guided(records, sample, options)

    def encode_all(divergence: float) -> Sequence[Encoded]:
        return records if divergence == wanted else [_encode_again(record, divergence) for record in records]

    saving = 1.0 if guided is None else GUIDED_SAVING
    trial = meet_divergence(wanted, guided or encode_all, lambda coded: _measure(coded, measure), saving)
    foretold = [record.foretold or 0.0 for record in trial.coded]
    total = sum(foretold)
    shares = [part / total if total else 1 / len(foretold) for part in foretold]
    return [
        replace(record, divergence=trial.measured * share) for record, share in zip(trial.coded, shares, strict=True)
    ]


def _guided(
    records: Sequence[Encoded], sample: Sample, options: IngestOptions
) -> "Callable[[float], Sequence[Encoded]] | None":
    """Return what encodes records again as a consumer guides them; None where it does not."""
    from lamofc_codecs import Guide, GuidedEncoder

    guide = None if options.guide is None else options.guide(sample.id, sample.features)
    if guide is None:
        return None
    items = [item for encoded in records for item in encoded.items]

    def gradient(decoded: "Sequence[Tensor]") -> "list[Tensor]":
        slopes = guide(_restored(items, decoded))
        return [
            to_tokens(slopes[item.feature], item.pattern) if item.feature in slopes else tokens * 0
            for item, tokens in zip(items, decoded, strict=True)
        ]

    encoder = GuidedEncoder(
        [_element(encoded) for encoded in records],
        [encoded.profile for encoded in records],
        Guide(gradient),
        [encoded.items[0].first_position for encoded in records],
    )

    def encode_all(divergence: float) -> Sequence[Encoded]:
        started = time.perf_counter()
        coded = encoder.encode(divergence)
        seconds = (time.perf_counter() - started) / len(items)
        return [
            replace(encoded, record=record, seconds=encoded.seconds + seconds, guided=True)
            for encoded, record in zip(records, coded, strict=True)
        ]

    return encode_all


def _element(encoded: Encoded) -> "Tensor | dict[str, Tensor]":
    """Return what a record codes: tokens of one feature, or of the features of a group."""
    items = encoded.items
    return {item.feature: item.tokens for item in items} if len(items) > 1 else items[0].tokens


def _restored(items: Sequence[Item], decoded: "Iterable[Tensor]") -> "dict[str, Tensor]":
    """Return decoded tokens x channels as the features of a sample."""
    return {
        item.feature: layout.from_tokens(tokens, item.pattern, item.shape)
        for item, tokens in zip(items, decoded, strict=True)
    }


def _encode_again(encoded: Encoded, divergence: float) -> Encoded:
    """Encode the items of a record at another divergence."""
    from lamofc_codecs import Quality, encode

    started, first = time.perf_counter(), encoded.items[0].first_position
    quality = Quality(kl=divergence)
    (record,) = encode([_element(encoded)], encoded.profile, quality=quality, first_positions=[first])
    return replace(
        encoded, record=record, seconds=encoded.seconds + (time.perf_counter() - started) / len(encoded.items)
    )


def _measure(records: Sequence[Encoded], measure: "Callable[[Mapping[str, object]], float]") -> float:
    """Return the divergence of the consumer's answers to what is decoded of all records of a sample."""
    from lamofc_codecs import decode

    items = [item for encoded in records for item in encoded.items]
    decoded = (tensor for encoded in records for tensor in decode([encoded.record.data], encoded.profile))
    found = measure(_restored(items, decoded))
    if not math.isfinite(found):
        raise _UnmeasuredError
    return found
