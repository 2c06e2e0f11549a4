"""Code the records of a sample as a guide has it: the gradient of a consumer's answers to what is decoded of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.abilities import Steerable
from lamofc_codecs.api import decode
from lamofc_codecs.errors import CodecError, UnsupportedInput
from lamofc_codecs.measured.descent import Descent
from lamofc_codecs.pipeline import Encodable, Encoder, tensors_in
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import Record
from lamofc_codecs.runtime import Floats, convert, devices
from lamofc_codecs.source import Placement

_LAST_STEPS, _LAST_RATE = 0.6, 0.4
"""Share of the steps after which they become shorter, and by which factor."""
_LATER_SHARE = 0.34
"""Steps of a later encoding, at another rate, over those of the first."""


@dataclass(frozen=True)
class Guide:
    """The gradient that what is quantised follows, and for how many steps."""

    gradient: Callable[[list[Tensor]], Sequence[Tensor]]
    """Returns that of a consumer's divergence by decoded tensors; each call may look at other answers."""
    steps: int = 24


class Coding(NamedTuple):
    """One record of a sample: what it codes, by which profile, from which position on."""

    element: Encodable
    profile: Profile
    first_position: int = 0

    def encoder(self, divergence: float) -> Encoder:
        """Return its encoder at a divergence that the profile foretells."""
        return Encoder.of(self.profile, Quality(kl=divergence), devices.usable("cpu"))

    def placement(self, shift: Floats | None = None) -> Placement:
        """Return where its tokens are, with its weighted values shifted."""
        return Placement(self.first_position, shift=shift)


@dataclass
class GuidedEncoder:
    """The records of a sample, coded as a guide has it; each encoding goes on from where the one before ended.

    The gradient is that by the decoded tensors of all records, one after another. Errors that are told of a record are
    those of its element, wherever the guide led.
    """

    codings: Sequence[Coding]
    guide: Guide
    _values: list[Tensor] = field(init=False)
    """What each record codes, tokens x channels of all of its parts, in the profile's order."""
    _spaces: list[Steerable] = field(init=False)
    """The codec of each record."""
    _descents: list[Descent] = field(default_factory=list)
    _divergence: float = 1.0
    """That of the encoding before."""
    _scale: float = 0.0
    """Largest entry of the first gradient, by which all are divided."""

    def __post_init__(self) -> None:
        self._values, self._spaces = [], []
        for coding in self.codings:
            encoder = coding.encoder(1.0)
            if not isinstance(encoder.codec, Steerable):
                raise UnsupportedInput(
                    f"codec {encoder.codec.id} cannot be guided by a consumer", "leave out the guide"
                )
            self._spaces.append(encoder.codec)
            if isinstance(coding.element, Mapping):
                parts = [coding.element[name] for name in encoder.part_names]
            else:
                parts = list(tensors_in(coding.element))
                if len(parts) != 1:
                    raise UnsupportedInput(f"{len(parts)} items of one record cannot be guided", "code each by itself")
            self._values.append(_side_by_side(parts))

    def encode(self, divergence: float) -> list[Record]:
        """Return the records at a divergence that their profiles foretell, before any guidance."""
        encoders = [coding.encoder(divergence) for coding in self.codings]
        scale, self._divergence = math.sqrt(divergence / self._divergence), divergence
        for descent in self._descents:
            descent.resize(scale)
        records, steps = self._encoded(encoders), self.guide.steps
        if self._descents:
            steps = math.ceil(steps * _LATER_SHARE)
        else:
            self._descents = list(self._beginnings(records))
        for step in range(steps):
            before = [descent.shift for descent in self._descents]
            self._follow(records, _LAST_RATE if step >= _LAST_STEPS * steps else 1.0)
            try:
                records = self._encoded(encoders)
            except CodecError:  # no step of quantisation meets the divergence from there
                for descent, shift in zip(self._descents, before, strict=True):
                    descent.shift = shift
                break
        return records

    def _encoded(self, encoders: Sequence[Encoder]) -> list[Record]:
        """Code the elements, shifted where a guide led before."""
        shifts = [descent.shift.numpy() for descent in self._descents] if self._descents else [None] * len(encoders)
        return [
            encoder.encode(coding.element, coding.placement(shift))
            for encoder, coding, shift in zip(encoders, self.codings, shifts, strict=True)
        ]

    def _beginnings(self, records: Sequence[Record]) -> Iterator[Descent]:
        """Yield a descent for each record, which begins at its errors."""
        for number, decoded in enumerate(decoded_parts(records, self.codings)):
            errors = self._values[number] - _side_by_side(decoded)
            yield Descent.against(self._spaces[number].weigh_errors(errors, self._positions(number)))

    def _follow(self, records: Sequence[Record], rate: float) -> None:
        """Make a step; none where the gradient is not finite."""
        decoded = decoded_parts(records, self.codings)
        tensors = [tensor for parts in decoded for tensor in parts]
        slopes = list(self.guide.gradient(tensors))
        if [slope.shape for slope in slopes] != [tensor.shape for tensor in tensors]:
            raise UnsupportedInput(
                f"a gradient of {[tuple(slope.shape) for slope in slopes]} by decoded tensors of "
                f"{[tuple(tensor.shape) for tensor in tensors]}",
                "return one for each tensor, of its shape",
            )
        largest = max((float(slope.abs().max()) for slope in slopes if slope.numel()), default=0.0)
        if not 0 < largest < math.inf:
            return
        self._scale = self._scale or largest
        remaining = iter(slopes)
        for number, parts in enumerate(decoded):
            gradient = _side_by_side([next(remaining) / self._scale for _ in parts])
            gradient[_side_by_side(parts) == self._values[number]] = 0  # of what is stored exactly
            weighed = self._spaces[number].weigh_gradient(gradient, self._positions(number))
            self._descents[number].step(weighed, rate)

    def _positions(self, number: int) -> NDArray[np.int64]:
        """Return the positions of the tokens of a record."""
        first = self.codings[number].first_position
        return np.arange(first, first + len(self._values[number]))


def decoded_parts(records: Sequence[Record], codings: Sequence[Coding]) -> list[list[Tensor]]:
    """Return the decoded tensors of each record of a sample."""
    return [decode([record.data], coding.profile) for record, coding in zip(records, codings, strict=True)]


def _side_by_side(tensors: Iterable[Tensor]) -> Tensor:
    """Return the finite values of all parts, tokens x channels in float32 on the CPU; 0 for others."""
    wide = [convert(tensor.detach().cpu(), torch.float32) for tensor in tensors]
    return torch.cat(wide, 1).nan_to_num(posinf=0.0, neginf=0.0)
