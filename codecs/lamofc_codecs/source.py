"""The arguments and results of codecs: a tensor with its sums, its encoding, and a request to decode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.errors import BeyondFloat32, NonFiniteInput, UnsupportedInput
from lamofc_codecs.runtime import Floats, convert, describe_lost, lazy, lost_in_float32
from lamofc_codecs.stats import NO_DISTORTION, Bulk, Distortion, Sums, compute_sums, total_sums

MAX_EXPANSION = 1 << 18
"""Most bytes of a tensor for each byte of a layer, unless a codec overrides `check_length`."""
CPU = torch.device("cpu")
MAX_GAIN = 63
"""The largest gain of a token in either direction, in sixteenths of an octave."""
MAX_POSITION = 1 << 40
"""Largest position of a token in its sequence."""
LOSSY_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Placement:
    """The place of a source's tokens in their sequence and among planes, and of its values in the weighted space."""

    first_position: int = 0
    """Position in its sequence of the first token, of every item."""
    planes: int = 1
    """Planes that share the tokens evenly, for a codec of pictures."""
    shift: Floats | None = None
    """Added to the weighted values before a `Steerable` codec quantises them; errors refer to the values all the same.
    """
    gains: NDArray[np.int64] | None = None
    """Makes the step of each token of a `Steerable` codec smaller, in sixteenths of an octave from -63 to 63."""


AT_START = Placement()
"""The placement of one plane whose first token begins its sequence."""


@dataclass(frozen=True)
class Source:
    """A tensor to encode, or the tensors of a group, with the sums that every codec and every figure needs."""

    tensors: tuple[Tensor, ...]
    """Tokens x channels, contiguous, on the CPU, each in its own dtype: one, or the features of a group."""
    sums: Sums
    """Sums over all values."""
    part_sums: tuple[Sums, ...]
    """Sums over each tensor."""
    items: tuple[int, ...] = ()
    """Tokens of each item, if the tensor holds several one after another."""
    placement: Placement = AT_START
    device: torch.device = CPU
    """The device that a codec may use."""
    without_lost: Floats | None = None
    """The values with NaN for those that float32 cannot hold, where there are any."""

    @lazy
    def values(self) -> Floats:
        """Their values in float32, side by side. A complex number counts as two channels; other dtypes are rounded."""
        if self.without_lost is not None:
            return self.without_lost
        parts = [convert(_real(tensor), torch.float32) for tensor in self.tensors]
        values: Floats = (parts[0] if len(parts) == 1 else torch.cat(parts, 1)).numpy()
        return values

    def rows(self, tokens: slice | NDArray[np.int64]) -> Floats:
        """Return the values of some tokens without those of all others."""
        if self.without_lost is not None or "values" in self.__dict__:
            return np.ascontiguousarray(self.values[tokens])
        chosen = tokens if isinstance(tokens, slice) else torch.from_numpy(tokens)
        parts = [convert(_real(tensor[chosen]), torch.float32) for tensor in self.tensors]
        rows: Floats = (parts[0] if len(parts) == 1 else torch.cat(parts, 1)).numpy()
        return rows

    @classmethod
    def of(cls, tensor: Tensor, bulk: Bulk | None, items: tuple[int, ...] = ()) -> Source:
        """Compute the sums over a tensor; without a bulk of its width, about its own channel means."""
        real = _real(tensor)
        fits = bulk is not None and len(bulk.mean) == real.shape[1]
        sums = compute_sums(real, bulk if fits else None)
        return cls((tensor,), sums, (sums,), items)

    @classmethod
    def of_parts(cls, tensors: Sequence[Tensor], bulk: Bulk) -> Source:
        """Compute the sums over the features of a group, which share their tokens; `bulk` covers all channels."""
        sums, first = [], 0
        for tensor in tensors:
            last = first + tensor.shape[1]
            sums.append(compute_sums(tensor, bulk.of_channels(first, last)))
            first = last
        return cls(tuple(tensors), total_sums(sums), tuple(sums))

    @property
    def positions(self) -> NDArray[np.int64]:
        """Position of each token in its sequence."""
        items, first = self.items or (self.tokens,), self.placement.first_position
        return np.concatenate([np.arange(first, first + count) for count in items])

    @property
    def tensor(self) -> Tensor:
        """The tensor, or the first of a group."""
        return self.tensors[0]

    def part(self, number: int) -> Floats:
        """Return the values of one tensor."""
        if len(self.tensors) == 1:
            return self.values
        first = sum(tensor.shape[1] for tensor in self.tensors[:number])
        return np.ascontiguousarray(self.values[:, first : first + self.tensors[number].shape[1]])

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def size(self) -> int:
        """Number of values; a complex number counts as two."""
        return sum(_real(tensor).numel() for tensor in self.tensors)

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return self.tensor.shape[0]

    @property
    def channels(self) -> int:
        """Number of channels of all tensors together."""
        return sum(tensor.shape[1] for tensor in self.tensors)

    def for_lossy(self, codec: str, channels: int, *, exact: bool = False) -> Source:
        """Return the source as a lossy codec may code it, or refuse one that the codec cannot hold.

        It refuses exact dtypes, a number of channels other than the profile's, and values that float32 cannot hold.
        With `exact` the codec stores such values exactly, and they are not finite in the returned source.
        """
        for tensor in self.tensors:
            if tensor.dtype not in LOSSY_DTYPES:
                raise UnsupportedInput(f"codec {codec} would round {tensor.dtype} values", "use codec raw")
        if self.channels != channels:
            raise UnsupportedInput(
                f"the tensor has {self.channels} channels, the profile was fitted on {channels}",
                "use the profile of this feature, or fit one",
            )
        wide = any(tensor.dtype == torch.float64 for tensor in self.tensors)
        if not (self.sums.bad or wide):
            return self
        lost = [lost_in_float32(tensor) for tensor in self.tensors]
        for tensor, mask in zip(self.tensors, lost, strict=True):
            if not exact and mask.any():
                error = BeyondFloat32 if torch.isfinite(tensor).all() else NonFiniteInput
                raise error(describe_lost(tensor), 'use codec raw, or fit with nonfinite="exact"')
        return (
            replace(self, without_lost=np.where(torch.cat(lost, 1).numpy(), np.float32(np.nan), self.values))
            if wide
            else self
        )


def _real(tensor: Tensor) -> Tensor:
    """Return a tensor of real numbers, two channels for each complex one."""
    return torch.view_as_real(tensor).flatten(1) if tensor.is_complex() else tensor


class PartShape(NamedTuple):
    """Width and dtype of one part of a record."""

    channels: int
    dtype: torch.dtype


@dataclass(frozen=True)
class Encoding:
    """The layers of a record, coarse first, and the errors that they leave."""

    layers: tuple[bytes, ...]
    errors: tuple[Distortion, ...] = (NO_DISTORTION,)
    """For each prefix of the layers, the error of its decoded tensor."""
    reached: bool = True
    """False if the layers miss the requested quality; the source is then stored without loss."""
    part_errors: tuple[tuple[Distortion, ...], ...] = ()
    """For each prefix of the layers, the error of each feature of a group."""
    item_errors: tuple[tuple[Distortion, ...], ...] = ()
    """For each prefix of the layers, the error of each item; measured by decoding if a codec leaves this empty."""


@dataclass(frozen=True)
class DecodeRequest:
    """Request to decode some parts of one record."""

    layers: Sequence[memoryview]
    tokens: int
    channels: Sequence[int]
    """Width of each part."""
    dtypes: Sequence[torch.dtype]
    """Dtype of each part."""
    parts: Sequence[int]
    """The parts to decode."""
