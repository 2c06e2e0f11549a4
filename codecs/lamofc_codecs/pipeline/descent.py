"""Descent: move what is quantised along a consumer's gradient, so that errors fall where its answers do not feel them.

A sample has far more values than a consumer's answers have directions. Rounding that knows the answers leaves errors as
large as any other, yet nearly all of them in directions that cost nothing. A decoder needs to know nothing of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.abilities import Steerable
from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.pipeline.encode_record import Encodable, Encoder, tensors_in
from lamofc_codecs.record import Record
from lamofc_codecs.runtime import convert

DESCENT_SAVING = 3.0
"""Foretold over measured divergence of the usual sample after them."""
_RATE = 0.15
"""Length of a step over that of the errors of a usual token."""
_LAST_STEPS, _LAST_RATE = 0.6, 0.4
"""Share of the steps after which they become shorter, and by which factor."""
_LATER_SHARE = 0.34
"""Steps of a later encoding, at another rate, over those of the first."""
_MEMORY = 0.5
"""Share of the direction of a step that the former ones have."""
_NORM_MEMORY = 0.7
"""Share of a token's usual gradient that the former steps have."""
_LEAST_ERROR = 0.2
"""Error of a token, over that of a usual one, to which it may be shifted at the least."""


@dataclass(frozen=True)
class Guide:
    """A consumer's answers as a guide of what is quantised, and how many steps it is followed."""

    gradient: Callable[[list[Tensor]], Sequence[Tensor]]
    """Returns the gradient of the divergence by decoded tensors; each call may look at other answers."""
    steps: int = 12


@dataclass
class Descent:
    """The shift of a sample's weighted values, improved step by step.

    Each token moves as far as any other: gradients of tokens differ by orders of magnitude, and so do their curvatures.
    No token is shifted by more than its errors were.
    """

    limits: Tensor
    """Largest length of the shift of each token."""
    usual: float
    """Length of the error of a usual token."""
    shift: Tensor
    _direction: Tensor = field(init=False)
    _norms: Tensor = field(init=False)
    """Squared length of each token's gradient, averaged over steps."""
    _steps: int = 0

    def __post_init__(self) -> None:
        self._direction = torch.zeros_like(self.shift)
        self._norms = torch.zeros(len(self.shift), 1)

    @classmethod
    def against(cls, errors: Tensor) -> Descent:
        """Begin without a shift, at these errors of weighted values."""
        lengths = errors.norm(dim=1, keepdim=True)
        usual = float(lengths.median())
        return cls(lengths.clamp_min(_LEAST_ERROR * usual), usual, torch.zeros_like(errors))

    def step(self, gradient: Tensor, rate: float = 1.0) -> None:
        """Move against a gradient by weighted values."""
        self._steps += 1
        self._norms = _NORM_MEMORY * self._norms + (1 - _NORM_MEMORY) * gradient.square().sum(1, keepdim=True)
        lengths = (self._norms / (1 - _NORM_MEMORY**self._steps)).sqrt()
        unit = gradient / lengths.clamp_min(torch.finfo(torch.float32).tiny)
        self._direction = _MEMORY * self._direction + (1 - _MEMORY) * unit
        shift = self.shift - _RATE * rate * self.usual * self._direction
        self.shift = shift * (self.limits / shift.norm(dim=1, keepdim=True).clamp_min(1e-30)).clamp_max(1.0)


@dataclass
class Steering:
    """An element that is coded as a guide has it; each encoding goes on from the shift before."""

    element: Encodable
    first_position: int
    guide: Guide
    decode: Callable[[Record], list[Tensor]]
    _descent: Descent | None = None

    def encode(self, encoder: Encoder) -> Record:
        """Return the record after some steps, as many as a later encoding needs to settle at its rate."""
        codec = encoder.codec
        if not isinstance(codec, Steerable):
            raise UnsupportedInput(f"codec {codec.id} cannot be guided by a consumer", "leave out the guide")
        if isinstance(self.element, Sequence):
            raise UnsupportedInput(f"{len(self.element)} items of one record cannot be guided", "code each by itself")
        steps = self.guide.steps if self._descent is None else math.ceil(self.guide.steps * _LATER_SHARE)
        record = self._encoded(encoder)
        if self._descent is None:
            errors = _side_by_side(tensors_in(self.element)) - _side_by_side(self.decode(record))
            self._descent = Descent.against(codec.weigh_errors(errors, self._positions(len(errors))))
        for number in range(steps):
            gradient = _side_by_side(self.guide.gradient(self.decode(record)))
            last = number >= _LAST_STEPS * steps
            self._descent.step(
                codec.weigh_gradient(gradient, self._positions(len(gradient))), _LAST_RATE if last else 1.0
            )
            record = self._encoded(encoder)
        return record

    def _encoded(self, encoder: Encoder) -> Record:
        shift = None if self._descent is None else self._descent.shift.numpy()
        return encoder.encode(self.element, self.first_position, shift)

    def _positions(self, tokens: int) -> NDArray[np.int64]:
        return np.arange(self.first_position, self.first_position + tokens)


def _side_by_side(tensors: Iterable[Tensor]) -> Tensor:
    """Return the finite values of all parts, tokens x channels in float32; 0 for others."""
    return torch.cat([convert(tensor, torch.float32) for tensor in tensors], 1).nan_to_num(posinf=0.0, neginf=0.0)
