"""Code the records of a sample as a guide has it: the gradient of a consumer's answers to what is decoded of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from lamofc_codecs.errors import OutOfReach
from lamofc_codecs.measured.coding import (
    Coding,
    WeightedSpace,
    check_gradient,
    decoded_parts,
    gradients_of,
    side_by_side,
)
from lamofc_codecs.measured.descent import Descent
from lamofc_codecs.pipeline import Encoder
from lamofc_codecs.record import Record

_LAST_STEPS, _LAST_RATE = 0.6, 0.4
"""Share of the steps after which they become shorter, and by which factor."""


@dataclass(frozen=True)
class Guide:
    """The gradient that what is quantised follows, and for how many steps."""

    gradient: Callable[[list[Tensor]], Sequence[Tensor]]
    """Returns that of a consumer's divergence by decoded tensors; each call may look at other answers."""
    steps: int = 24


@dataclass
class GuidedEncoder:
    """The records of a sample, coded as a guide has it.

    The gradient is that by the decoded tensors of all records, one after another. Errors that are told of a record are
    those of its element, wherever the guide led.
    """

    codings: Sequence[Coding]
    guide: Guide
    _spaces: list[WeightedSpace] = field(init=False)
    _descents: list[Descent] = field(default_factory=list)
    _scale: float = 0.0
    """Largest entry of the first gradient, by which all are divided."""

    def __post_init__(self) -> None:
        self._spaces = [WeightedSpace.of(coding) for coding in self.codings]

    def encode(self, divergence: float) -> list[Record]:
        """Return the records at a divergence that their profiles foretell, before any guidance.

        Each encoding begins anew: at another rate all errors are others, and a shift that made up for the former ones
        is an error of its own.
        """
        encoders, steps = [coding.encoder(divergence) for coding in self.codings], self.guide.steps
        self._descents, self._scale = [], 0.0
        records = self._encoded(encoders)
        self._descents = list(self._beginnings(records))
        for step in range(steps):
            before = [descent.shift for descent in self._descents]
            self._follow(records, _LAST_RATE if step >= _LAST_STEPS * steps else 1.0)
            try:
                records = self._encoded(encoders)
            except OutOfReach:  # no step of quantisation meets the divergence from there
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
        for space, decoded in zip(self._spaces, decoded_parts(records, self.codings), strict=True):
            yield Descent.against(space.weigh_errors(space.values - side_by_side(decoded)))

    def _follow(self, records: Sequence[Record], rate: float) -> None:
        """Make a step; none where the gradient is not finite."""
        decoded = decoded_parts(records, self.codings)
        tensors = [tensor for parts in decoded for tensor in parts]
        slopes = list(self.guide.gradient(tensors))
        check_gradient(self._spaces, slopes)
        largest = max((float(slope.abs().max()) for slope in slopes if slope.numel()), default=0.0)
        if not 0 < largest < math.inf:
            return
        self._scale = self._scale or largest
        gradients = gradients_of(self._spaces, slopes, self._scale)
        for space, descent, parts, gradient in zip(self._spaces, self._descents, decoded, gradients, strict=True):
            gradient[side_by_side(parts) == space.values] = 0  # of what is stored exactly
            descent.step(space.weigh_gradient(gradient), rate)
