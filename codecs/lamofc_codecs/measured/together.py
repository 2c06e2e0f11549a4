"""Encode at a divergence that is measured: a consumer answers to what is decoded, and may guide what is quantised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor

from lamofc_codecs.errors import BadQuality, CodecError
from lamofc_codecs.measured.guided_encoder import Coding, Guide, GuidedEncoder, decoded_parts
from lamofc_codecs.measured.meet_divergence import NEAR, meet_divergence
from lamofc_codecs.pipeline import Encodable
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import Record

_SAVING = 4.0
"""Divergence at which the usual sample is coded with a guide over that without one, before the guide is followed."""
_GUIDED_TRIALS = 4
"""Most encodings at other rates with a guide: each depends on those before."""


class MeasuredRecords(NamedTuple):
    """The records of a sample, and the divergence that was measured of all of them together."""

    records: list[Record]
    divergence: float
    guided: bool
    """Whether their errors are where the consumer does not feel them."""


def encode_together(
    codings: Sequence[Coding],
    quality: Quality,
    measure: Callable[[list[Tensor]], float],
    guide: Guide | None = None,
) -> MeasuredRecords:
    """Code the records of one sample at the rate at which their divergence is measured, as `encode_measured` does one.

    `measure` and the guide take the decoded tensors of all records, one after another. Each record is coded at the same
    divergence that its profile foretells.
    """
    if quality.kind != "kl":
        raise BadQuality(f"{quality} cannot be measured by a consumer's answers", "give Quality(kl=0.05)")
    wanted = quality.value

    def code(divergence: float) -> list[Record]:
        return [coding.encoder(divergence).encode(coding.element, coding.placement()) for coding in codings]

    def felt(records: list[Record]) -> float:
        return measure([tensor for parts in decoded_parts(records, codings) for tensor in parts])

    plain = meet_divergence(wanted, code, felt)
    unguided = MeasuredRecords(plain.coded, plain.measured, guided=False)
    if guide is None or guide.steps <= 0:
        return unguided
    encoder = GuidedEncoder(codings, guide)
    try:
        guided = meet_divergence(wanted, encoder.encode, felt, _SAVING * plain.foretold, _GUIDED_TRIALS)
    except CodecError:
        return unguided
    felt_more = guided.measured > max(NEAR[1] * wanted, plain.measured)
    if felt_more or _size(guided.coded) >= _size(plain.coded):
        return unguided
    return MeasuredRecords(guided.coded, guided.measured, guided=True)


def encode_measured(
    tensor: Encodable,
    profile: Profile,
    quality: Quality,
    measure: Callable[[list[Tensor]], float],
    *,
    first_position: int = 0,
    guide: Guide | None = None,
) -> tuple[Record, float]:
    """Code one element at the rate at which a divergence is measured, not foretold; return the record and what was.

    `measure` returns the divergence of a consumer's answers to decoded tensors, one for each cell of the record. It is
    called up to three times; the record is that of the divergence nearest to the one asked for.

    With a `guide` a codec that is `Steerable` then rounds by its gradient: errors fall where the answers do not feel
    them, and fewer bits suffice. It takes up to two and a half times as many encodings as the guide has steps, and four
    more measurements. The record without a guide is kept where the guide saves nothing. Divergence is best measured by
    other answers than the guide's, such as other texts after the same prefix.
    """
    ((record,), divergence, _) = encode_together([Coding(tensor, profile, first_position)], quality, measure, guide)
    return record, divergence


def _size(records: Sequence[Record]) -> int:
    return sum(len(record.data) for record in records)
