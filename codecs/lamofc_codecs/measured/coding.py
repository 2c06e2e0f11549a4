"""One record of a sample, and the weighted space in which a consumer's gradients of it are compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.abilities import Steerable
from lamofc_codecs.api import decode
from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.pipeline import Encodable, Encoder, tensors_in
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import Record
from lamofc_codecs.runtime import Floats, convert, devices
from lamofc_codecs.source import Placement


class Coding(NamedTuple):
    """One record of a sample: what it codes, by which profile, from which position on, with a gain of each token."""

    element: Encodable
    profile: Profile
    first_position: int = 0
    gains: NDArray[np.int64] | None = None

    def encoder(self, divergence: float) -> Encoder:
        """Return its encoder at a divergence that the profile foretells."""
        return Encoder.of(self.profile, Quality(kl=divergence), devices.usable("cpu"))

    def placement(self, shift: Floats | None = None) -> Placement:
        """Return where its tokens are, with its weighted values shifted."""
        return Placement(self.first_position, shift=shift, gains=self.gains)

    def encode(self, divergence: float) -> Record:
        """Return the record at a divergence that the profile foretells."""
        return self.encoder(divergence).encode(self.element, self.placement())


@dataclass(frozen=True)
class WeightedSpace:
    """Takes errors and gradients of a record's values to the space in which its codec quantises."""

    values: Tensor
    """Values that the record codes, tokens x channels of all of its parts, in the profile's order."""
    shapes: Sequence[torch.Size]
    """Shape of each of its decoded tensors."""
    _codec: Steerable
    _positions: NDArray[np.int64]

    @classmethod
    def of(cls, coding: Coding) -> WeightedSpace:
        """Return that of a record; UnsupportedInput for a codec without one, or for several items."""
        encoder = coding.encoder(1.0)
        if not isinstance(encoder.codec, Steerable):
            raise UnsupportedInput(f"codec {encoder.codec.id} cannot be guided by a consumer", "leave out the guide")
        if isinstance(coding.element, Mapping):
            parts = [coding.element[name] for name in encoder.part_names]
        else:
            parts = list(tensors_in(coding.element))
            if len(parts) != 1:
                raise UnsupportedInput(f"{len(parts)} items of one record cannot be guided", "code each by itself")
        values = side_by_side(parts)
        positions = np.arange(coding.first_position, coding.first_position + len(values))
        return cls(values, [part.shape for part in parts], encoder.codec, positions)

    def weigh_errors(self, errors: Tensor) -> Tensor:
        """Return errors of the values as the codec quantises them."""
        return self._codec.weigh_errors(errors, self._positions)

    def weigh_gradient(self, gradient: Tensor) -> Tensor:
        """Return a gradient by the values as one by what the codec quantises."""
        return self._codec.weigh_gradient(gradient, self._positions)


def check_gradient(spaces: Sequence[WeightedSpace], slopes: Sequence[Tensor]) -> None:
    """Refuse a gradient of other shapes than the decoded tensors of all records."""
    shapes = [shape for space in spaces for shape in space.shapes]
    if [slope.shape for slope in slopes] != shapes:
        raise UnsupportedInput(
            f"a gradient of {[tuple(slope.shape) for slope in slopes]} by decoded tensors of "
            f"{[tuple(shape) for shape in shapes]}",
            "return one for each tensor, of its shape",
        )


def gradients_of(spaces: Sequence[WeightedSpace], slopes: Sequence[Tensor], scale: float = 1.0) -> Iterator[Tensor]:
    """Yield for each record the gradient by its values over a scale, given those by all decoded tensors in turn."""
    remaining = iter(slopes)
    for space in spaces:
        yield side_by_side([next(remaining) / scale for _ in space.shapes])


def decoded_parts(records: Sequence[Record], codings: Sequence[Coding]) -> list[list[Tensor]]:
    """Return the decoded tensors of each record of a sample."""
    return [decode([record.data], coding.profile) for record, coding in zip(records, codings, strict=True)]


def side_by_side(tensors: Iterable[Tensor]) -> Tensor:
    """Return the finite values of all parts, tokens x channels in float32 on the CPU; 0 for others."""
    wide = [convert(tensor.detach().cpu(), torch.float32) for tensor in tensors]
    return torch.cat(wide, 1).nan_to_num(posinf=0.0, neginf=0.0)
