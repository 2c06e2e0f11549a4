"""Encode at a divergence that is measured: a consumer answers to what is decoded, and may guide what is quantised."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import Tensor

from lamofc_codecs.errors import BadQuality, NoFiniteAnswer, OutOfReach, UnsupportedInput
from lamofc_codecs.measured.coding import Coding, decoded_parts
from lamofc_codecs.measured.guided_encoder import Guide, GuidedEncoder
from lamofc_codecs.measured.meet_divergence import NEAR, Trial, meet_divergence
from lamofc_codecs.measured.token_gains import Draw, weighings
from lamofc_codecs.pipeline import Encodable
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import Record

_Encode = Callable[[float], list[Record]]
_PLAIN_TRIALS, _TRIALS = 6, 4
"""Most trials of a search, and of one with gains or a guide, each of which takes longer."""
_SAVING = 2.5
"""Gains, and then a guide, let the usual sample be coded at so many times the foretold divergence."""
_BITS_OF_ERROR = 0.5 * math.log2(math.e)
"""Bits of a value by which the logarithm of its squared error falls by 1."""
_LARGEST_EXPONENT = 0.4
"""Largest power of the divergence that bytes are inverse to: at few bits most values are zeros, which save none."""
_LEAST_SAVING = 0.01
"""Share of the bytes at equal divergence that gains or a guide save at least where they are taken."""
_LEAST_SHARE = 0.01
"""Share of the wanted divergence below which divergences are alike."""


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
    if not codings:
        raise UnsupportedInput("no record is to be coded", "give one coding or more")
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
    called up to six times, until that is 0.7 to 1.4 times the one asked for; a measure that is not finite counts as
    felt too much. Where none of the six is, that record is taken which has the fewest bytes, times its divergence over
    the one asked for if that is above it: a sample whose divergence hardly falls is not coded at ten times the bytes.

    With `draw`, which draws gradients of the answers, a codec that is `Steerable` gives each token a step of its own:
    a finer one, the more the answers diverge by errors of the token. It takes twelve draws and at most eight more
    measurements.

    With a `guide` such a codec then rounds by its gradient: errors fall where the answers do not feel them, and fewer
    bits suffice. It takes up to four more measurements, and for each of them an encoding before the guide's first step
    and one after every step. Gains and guidance are left out where they save no bytes at equal divergence. Divergence
    is best measured by other answers than those of the guide and of the draws, such as other texts after the same
    prefix.
    """
    ((record,), divergence, _) = encode_together([Coding(tensor, profile)], quality, measure, guide, draw)
    return record, divergence


@dataclass(frozen=True)
class _Search:
    """The search for the records of a sample at one divergence."""

    wanted: float
    measure: Callable[[list[Tensor]], float]
    codings: Sequence[Coding]

    def meet(self, encode: _Encode, first: float | None = None, most: int = _PLAIN_TRIALS) -> Trial[list[Record]]:
        """Return the trial that meets the divergence, or that of least cost."""
        return meet_divergence(self.wanted, encode, self._felt, _size, most, first)

    def improve(self, best: Trial[list[Record]], encode: _Encode) -> Trial[list[Record]] | None:
        """Return a trial of fewer bytes than the best one has at its divergence; None if there is none.

        A best trial that is felt far less than wanted counts as one that is nearly felt as much.
        """
        try:
            found = self.meet(encode, _SAVING * best.foretold, _TRIALS)
        except (OutOfReach, NoFiniteAnswer):
            return None
        felt_more = found.measured > max(NEAR[1] * self.wanted, best.measured)
        saved = (1 - _LEAST_SAVING) * best.size - self._size_at(found, max(best.measured, NEAR[0] * self.wanted))
        return found if saved > 0 and not felt_more else None

    def _size_at(self, trial: Trial[list[Record]], divergence: float) -> float:
        """Return about how many bytes a trial would take at a smaller divergence; its own for any other."""
        elements = sum(record.elements for record in trial.coded)
        exponent = min(_BITS_OF_ERROR * elements / (8 * trial.size), _LARGEST_EXPONENT)
        return trial.size * math.pow(max(trial.measured / max(divergence, _LEAST_SHARE * self.wanted), 1.0), exponent)

    def _felt(self, records: list[Record]) -> float:
        return self.measure([tensor for parts in decoded_parts(records, self.codings) for tensor in parts])


def _encode(codings: Sequence[Coding], divergence: float) -> list[Record]:
    """Code all records at a divergence that their profiles foretell."""
    return [coding.encode(divergence) for coding in codings]


def _size(records: Sequence[Record]) -> int:
    return sum(len(record.data) for record in records)
