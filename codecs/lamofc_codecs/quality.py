"""The target of an encoder: one quantity and its value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeGuard

from lamofc_codecs.errors import BadQuality

_MAY_BE_NEGATIVE = {"snr_db", "qp"}


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Exactly one target of an encoder. `describe(codec)` lists the targets of a codec.

    Every sample meets the target by itself; no target is an average over samples.
    """

    snr_db: float | None = None
    """Variance about the channel means over the mean squared error, both over the bulk entries, in decibels.

    The error may be up to 3 % (0.13 dB) larger than this says. Where a profile weighs directions of errors unlike, both
    are weighted; the figures of records never are."""
    mse: float | None = None
    """Mean squared error over all elements, in the source's own units squared; up to 3 % more is accepted."""
    bpfp: float | None = None
    """Bits of the record's payload per element of the source."""
    step: float | None = None
    """Distance between neighbouring reconstruction levels, in the source's own units."""
    max_error: float | None = None
    """Largest error of any element, in the source's own units; never exceeded."""
    kl: float | None = None
    """Expected divergence of the consumer's answers, in nats a token; up to 3 % more is accepted.

    The profile must weigh errors by a Fisher matrix of that consumer."""
    lmbda: float | None = None
    """Weight of distortion against rate that the weights of a learned codec were trained for."""
    qp: float | None = None
    """Quantisation parameter of a video codec."""
    lossless: bool | None = None
    """True for a codec that restores every bit."""

    def __post_init__(self) -> None:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        named = [name for name, value in values.items() if value is not None]
        if len(named) != 1:
            raise BadQuality(f"a quality names exactly one target, got {named or 'none'}", "give Quality(snr_db=15)")
        name, value = named[0], values[named[0]]
        if name == "lossless":
            if value is not True:
                raise BadQuality(f"lossless={value!r} is no target", "give lossless=True, or another target")
            return
        if not is_finite_number(value):
            raise BadQuality(f"{name}={value!r} is no finite number", f"give a number, such as {name}=1.0")
        if value <= 0 and name not in _MAY_BE_NEGATIVE:
            raise BadQuality(f"{name}={value!r} is not greater than 0", f"give a number above 0, such as {name}=1.0")
        object.__setattr__(self, name, float(value))

    @property
    def kind(self) -> str:
        """Name of the target, such as `snr_db`."""
        return next(field.name for field in fields(self) if getattr(self, field.name) is not None)

    @property
    def value(self) -> float:
        """The target's number; 1.0 for lossless."""
        return float(getattr(self, self.kind))

    def __str__(self) -> str:
        return "lossless" if self.lossless else f"{self.kind}={self.value:g}"

    def to_json(self) -> dict[str, float | bool]:
        """Return a dict for JSON, such as `{"snr_db": 15.0}`."""
        return {self.kind: True if self.lossless else self.value}

    @classmethod
    def from_json(cls, document: object) -> Quality:
        """Return the quality that `to_json` wrote, as a mapping or as JSON text."""
        try:
            mapping = json.loads(document) if isinstance(document, str) else document
        except ValueError as error:
            raise BadQuality(f"quality {document!r} is not JSON: {error}", 'write it as {"snr_db": 15}') from error
        names = {field.name for field in fields(cls)}
        if not isinstance(mapping, Mapping) or not set(mapping) <= names:
            raise BadQuality(f"quality {mapping!r} names none of {sorted(names)}", 'write it as {"snr_db": 15}')
        return cls(**mapping)


def is_finite_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number, and no truth value, that a float64 holds; an integer may be too large for it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
