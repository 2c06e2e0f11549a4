"""Encode at a divergence that is measured: a consumer answers to what is decoded, and may guide what is quantised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import Tensor

from lamofc_codecs.errors import BadQuality, CodecError
from lamofc_codecs.measured.coding import Coding, decoded_parts
from lamofc_codecs.measured.guided_encoder import Guide, GuidedEncoder
from lamofc_codecs.measured.meet_divergence import NEAR, Trial, meet_divergence
from lamofc_codecs.measured.token_gains import Draw, weighings
from lamofc_codecs.pipeline import Encodable
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import Record

_Encode = Callable[[float], list[Record]]
_SAVING = 2.5
"""Foretold divergence at which the usual sample is coded with gains over that without, or with a guide over both."""


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
    draw: Draw | None = None,
) -> MeasuredRecords:
    """Code the records of one sample at the rate at which their divergence is measured, as `encode_measured` does one.

    `measure`, `draw` and the guide are of the tensors of all records, one after another. Each record is coded at the
    same divergence that its profile foretells.
    """
    if quality.kind != "kl":
        raise BadQuality(f"{quality} cannot be measured by a consumer's answers", "give Quality(kl=0.05)")
    search = _Search(quality.value, measure, codings)
    best, guided = search.meet(partial(_encode, codings)), False
    for weighed in () if draw is None else weighings(codings, draw):
        if (found := search.improve(best, partial(_encode, weighed))) is not None:
            codings, best = weighed, found
    if guide is not None and guide.steps > 0:
        found = search.improve(best, GuidedEncoder(codings, guide).encode)
        best, guided = (best, False) if found is None else (found, True)
    return MeasuredRecords(best.coded, best.measured, guided)


def encode_measured(
    tensor: Encodable,
    profile: Profile,
    quality: Quality,
    measure: Callable[[list[Tensor]], float],
    *,
    guide: Guide | None = None,
    draw: Draw | None = None,
) -> tuple[Record, float]:
    """Code one element at the rate at which a divergence is measured, not foretold; return the record and what was.

    `measure` returns the divergence of a consumer's answers to decoded tensors, one for each cell of the record. It is
    called up to four times; the record is that of the divergence nearest to the one asked for.

    With `draw`, which draws gradients of the answers, a codec that is `Steerable` gives each token a step of its own:
    a finer one, the more the answers diverge by errors of the token. It takes twelve draws and eight more measurements.

    With a `guide` such a codec then rounds by its gradient: errors fall where the answers do not feel them, and fewer
    bits suffice. It takes up to four times as many encodings as the guide has steps, and four more measurements. Gains
    and guidance are left out where they save nothing. Divergence is best measured by other answers than those of the
    guide and of the draws, such as other texts after the same prefix.
    """
    ((record,), divergence, _) = encode_together([Coding(tensor, profile)], quality, measure, guide, draw)
    return record, divergence


@dataclass(frozen=True)
class _Search:
    """The search for the records of a sample at one divergence."""

    wanted: float
    measure: Callable[[list[Tensor]], float]
    codings: Sequence[Coding]

    def meet(self, encode: _Encode, first: float | None = None) -> Trial[list[Record]]:
        """Return the trial that is nearest to the divergence."""
        return meet_divergence(self.wanted, encode, self._felt, first)

    def improve(self, best: Trial[list[Record]], encode: _Encode) -> Trial[list[Record]] | None:
        """Return a trial of fewer bytes than the best one, by an encoding that diverges less; None if there is none."""
        try:
            found = self.meet(encode, _SAVING * best.foretold)
        except CodecError:
            return None
        felt_more = found.measured > max(NEAR[1] * self.wanted, best.measured)
        return None if felt_more or _size(found.coded) >= _size(best.coded) else found

    def _felt(self, records: list[Record]) -> float:
        return self.measure([tensor for parts in decoded_parts(records, self.codings) for tensor in parts])


def _encode(codings: Sequence[Coding], divergence: float) -> list[Record]:
    """Code all records at a divergence that their profiles foretell."""
    return [coding.encode(divergence) for coding in codings]


def _size(records: Sequence[Record]) -> int:
    return sum(len(record.data) for record in records)
