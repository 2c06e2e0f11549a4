"""Encode at a divergence that is measured: a consumer answers to what is decoded, and may guide what is quantised."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.abilities import Steerable
from lamofc_codecs.api import decode, encode
from lamofc_codecs.errors import BadQuality, UnsupportedInput
from lamofc_codecs.pipeline import Descent, Encodable, Encoder, meet_divergence, tensors_in
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import Record
from lamofc_codecs.runtime import convert, devices

GUIDED_SAVING = 5.0
"""Foretold over measured divergence of the usual sample that is guided."""
_LAST_STEPS, _LAST_RATE = 0.6, 0.4
"""Share of the steps after which they become shorter, and by which factor."""
_LATER_SHARE = 0.34
"""Steps of a later encoding, at another rate, over those of the first."""


@dataclass(frozen=True)
class Guide:
    """A consumer's answers as a guide of what is quantised, and how many steps it is followed."""

    gradient: Callable[[list[Tensor]], Sequence[Tensor]]
    """Returns the gradient of the divergence by decoded tensors; each call may look at other answers."""
    steps: int = 24


@dataclass
class GuidedEncoder:
    """Elements of one sample, coded as a guide has it; each encoding goes on from where the one before ended.

    The gradient is that by the decoded tensors of all elements, one after another. Errors that are told of a record are
    those of the element, wherever the guide led.
    """

    elements: Sequence[Encodable]
    profiles: Sequence[Profile]
    guide: Guide
    first_positions: Sequence[int]
    _descents: list[Descent] = field(default_factory=list)
    _divergence: float = 0.0
    """That of the encoding before."""

    def __post_init__(self) -> None:
        for element, profile in zip(self.elements, self.profiles, strict=True):
            codec = Encoder.of(profile, None, devices.usable("cpu")).codec
            if not isinstance(codec, Steerable):
                raise UnsupportedInput(f"codec {codec.id} cannot be guided by a consumer", "leave out the guide")
            if isinstance(element, Sequence):
                raise UnsupportedInput(f"{len(element)} items of one record cannot be guided", "code each by itself")

    def encode(self, divergence: float) -> list[Record]:
        """Return a record of each element at a divergence that its profile foretells, before any guidance."""
        quality, steps = Quality(kl=divergence), self.guide.steps
        encoders = [Encoder.of(profile, quality, devices.usable("cpu")) for profile in self.profiles]
        for descent in self._descents:
            descent.resize(math.sqrt(divergence / self._divergence))
        records, self._divergence = self._encoded(encoders), divergence
        if self._descents:
            steps = math.ceil(steps * _LATER_SHARE)
        else:
            self._descents = [
                Descent.against(_steerable(encoder).weigh_errors(errors, self._positions(number, len(errors))))
                for number, (encoder, errors) in enumerate(zip(encoders, self._errors(records), strict=True))
            ]
        for step in range(steps):
            rate = _LAST_RATE if step >= _LAST_STEPS * steps else 1.0
            for number, gradient in enumerate(self._gradients(records)):
                weighed = _steerable(encoders[number]).weigh_gradient(gradient, self._positions(number, len(gradient)))
                self._descents[number].step(weighed, rate)
            records = self._encoded(encoders)
        return records

    def _encoded(self, encoders: Sequence[Encoder]) -> list[Record]:
        """Code the elements, shifted where a guide led before."""
        shifts = [descent.shift.numpy() for descent in self._descents] if self._descents else [None] * len(encoders)
        placed = zip(encoders, self.elements, self.first_positions, shifts, strict=True)
        return [encoder.encode(element, first, shift=shift) for encoder, element, first, shift in placed]

    def _decoded(self, records: Sequence[Record]) -> list[list[Tensor]]:
        """Return the decoded tensors of each record."""
        return [decode([record.data], profile) for record, profile in zip(records, self.profiles, strict=True)]

    def _errors(self, records: Sequence[Record]) -> list[Tensor]:
        """Return the errors of each record, tokens x channels of all of its parts."""
        pairs = zip(self.elements, self._decoded(records), strict=True)
        return [_side_by_side(tensors_in(element)) - _side_by_side(decoded) for element, decoded in pairs]

    def _gradients(self, records: Sequence[Record]) -> list[Tensor]:
        """Return the gradient by what is decoded of each record, tokens x channels of all of its parts."""
        decoded = self._decoded(records)
        slopes = iter(self.guide.gradient([tensor for tensors in decoded for tensor in tensors]))
        return [_side_by_side([next(slopes) for _ in tensors]) for tensors in decoded]

    def _positions(self, number: int, tokens: int) -> NDArray[np.int64]:
        """Return the positions of an element's tokens."""
        first = self.first_positions[number]
        return np.arange(first, first + tokens)


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
    called up to three times, or four with a guide; the record is that of the divergence nearest to the one asked for.

    With a `guide` a codec that is `Steerable` rounds by its gradient: errors fall where the answers do not feel them,
    and fewer bits suffice. It takes up to twice as many encodings as the guide has steps. Divergence is
    best measured by other answers than the guide's, such as other texts after the same prefix.
    """
    if quality.kind != "kl":
        raise BadQuality(f"{quality} cannot be measured by a consumer's answers", "give Quality(kl=0.05)")
    guided = GuidedEncoder([tensor], [profile], guide, [first_position]) if guide and guide.steps > 0 else None

    def code(divergence: float) -> Record:
        if guided is not None:
            return guided.encode(divergence)[0]
        return encode([tensor], profile, quality=Quality(kl=divergence), first_positions=[first_position])[0]

    saving = 1.0 if guided is None else GUIDED_SAVING
    trial = meet_divergence(quality.value, code, lambda record: measure(decode([record.data], profile)), saving)
    return trial.coded, trial.measured


def _steerable(encoder: Encoder) -> Steerable:
    """Return the codec of an encoder, which was found to be steerable."""
    if not isinstance(encoder.codec, Steerable):
        raise TypeError(f"codec {encoder.codec.id} cannot be steered")
    return encoder.codec


def _side_by_side(tensors: Iterable[Tensor]) -> Tensor:
    """Return the finite values of all parts, tokens x channels in float32; 0 for others."""
    return torch.cat([convert(tensor, torch.float32) for tensor in tensors], 1).nan_to_num(posinf=0.0, neginf=0.0)
