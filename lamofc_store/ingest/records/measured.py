"""Encode the features of each sample at the rate at which a consumer's answers diverge as much as was asked for."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lamofc_store.ingest.records.encoded import Encoded
from lamofc_store.ingest.request import IngestOptions
from lamofc_store.sample import Sample, layout

if TYPE_CHECKING:
    from lamofc_codecs import Profile, Quality


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
    from lamofc_codecs import Quality, meet_divergence

    measure = None if options.measure is None else options.measure(sample.id, sample.features)
    if measure is None or options.quality is None:
        return records
    wanted = options.quality.value

    def encode_all(divergence: float) -> Sequence[Encoded]:
        quality = Quality(kl=divergence)
        return records if divergence == wanted else [_encode_again(record, quality) for record in records]

    trial = meet_divergence(wanted, encode_all, lambda coded: _measure(coded, measure))
    foretold = [record.foretold or 0.0 for record in trial.coded]
    total = sum(foretold)
    shares = [part / total if total else 1 / len(foretold) for part in foretold]
    return [
        replace(record, divergence=trial.measured * share) for record, share in zip(trial.coded, shares, strict=True)
    ]


def _encode_again(encoded: Encoded, quality: "Quality") -> Encoded:
    """Encode the items of a record at another quality."""
    from lamofc_codecs import encode

    started, items = time.perf_counter(), encoded.items
    element = {item.feature: item.tokens for item in items} if len(items) > 1 else items[0].tokens
    (record,) = encode([element], encoded.profile, quality=quality, first_positions=[items[0].first_position])
    return replace(
        encoded, record=record, seconds=encoded.seconds + (time.perf_counter() - started) / len(encoded.items)
    )


def _measure(records: Sequence[Encoded], measure: "Callable[[Mapping[str, object]], float]") -> float:
    """Return the divergence of the consumer's answers to what is decoded of all records of a sample."""
    from lamofc_codecs import decode

    decoded = {
        item.feature: layout.from_tokens(tokens, item.pattern, item.shape)
        for encoded in records
        for item, tokens in zip(encoded.items, decode([encoded.record.data], encoded.profile), strict=True)
    }
    found = measure(decoded)
    if not math.isfinite(found):
        raise _UnmeasuredError
    return found
