"""Stretched directions of error weights: as a list of directions, or, where nearly all are, as a symmetric matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.errors import CodecError
from lamofc_codecs.level_coding import read_matrix, write_matrix
from lamofc_codecs.profile import Profile
from lamofc_codecs.runtime import lazy

_MIN_WEIGHT_RATIO = 1.01
"""Directions whose squared errors count for no more than so many times the least are not stretched."""
_MIN_MATRIX_CHANNELS, _MAX_MATRIX_CHANNELS = 128, 8192
"""Channels of a matrix that is stored in place of directions; a reader of more would need too much memory."""
_LARGEST = 1 << 21
"""Largest magnitude of a number of a stored matrix."""


class Stretch(Protocol):
    """Stretched directions among neighbouring channels: all of them, or those of one feature of a group."""

    @property
    def channels(self) -> slice:
        """The channels among which the directions lie."""

    @property
    def valid(self) -> bool:
        """Whether directions and factors, which may come from anybody, can be used."""

    def added(self, values: Tensor) -> Tensor:
        """Return the part that stretching adds to tokens x channels."""

    def energy(self, values: Tensor) -> float:
        """Return about the sum of squares of stretched tokens x channels."""

    def stretch_rows(self, rows: Tensor) -> Tensor:
        """Stretch rows of these channels, in their own precision."""

    def shrink_rows(self, rows: Tensor) -> Tensor:
        """Invert `stretch_rows`."""

    def tensors(self) -> dict[str, Tensor]:
        """Return what a profile stores, by name; that of a feature of a group bears its first channel."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Stretched directions one by one."""

    first: int
    """The first of the channels."""
    directions: Tensor
    """Directions x channels, float32, of length 1 and about orthogonal."""
    factors: Tensor
    """Factor by which each direction is stretched, less 1."""
    of_group: bool = False
    """Whether this is one feature of a group; its directions are then many, and stretched by one product."""

    @property
    def channels(self) -> slice:
        """The channels among which the directions lie."""
        return slice(self.first, self.first + self.directions.shape[1])

    def added(self, values: Tensor) -> Tensor:
        """Return the part that stretching adds to tokens x channels."""
        if self.of_group:
            return values @ self._added
        return (values @ self.directions.T * self.factors) @ self.directions

    def energy(self, values: Tensor) -> float:
        """Return the sum of squares of stretched tokens x channels, as if directions were quite orthogonal."""
        along = values @ self.directions.T
        return sum_of_squares(values) + sum_of_squares(along * ((1 + self.factors).square() - 1).sqrt())

    @lazy
    def _added(self) -> Tensor:
        """Channels x channels: the matrix of `added`."""
        wide = self.directions.to(torch.float64)
        added: Tensor = (wide.T * self.factors.to(torch.float64) @ wide).to(torch.float32)
        return added

    @property
    def valid(self) -> bool:
        """Whether directions and factors, which may come from anybody, can be used."""
        count, channels = self.directions.shape
        finite = bool(self.factors.isfinite().all() and (self.factors > 0).all())
        return finite and count <= channels and bool((self.directions.abs() <= 1).all())

    def stretch_rows(self, rows: Tensor) -> Tensor:
        """Stretch rows of these channels, in their own precision."""
        directions, factors = self.directions.to(rows.dtype), self.factors.to(rows.dtype)
        return rows + (rows @ directions.T * factors) @ directions

    def shrink_rows(self, rows: Tensor) -> Tensor:
        """Invert `stretch_rows`."""
        surplus: Tensor = rows.to(torch.float64) @ self._inverse @ self.directions.to(torch.float64)
        return rows - surplus.to(rows.dtype)

    @lazy
    def _inverse(self) -> Tensor:
        """Channels x directions: share of each direction that shrinking takes away."""
        directions = self.directions.to(torch.float64)
        inner = torch.diag(1 / self.factors.to(torch.float64)) + directions @ directions.T
        solved: Tensor = torch.linalg.solve(inner, directions).T
        return solved

    def tensors(self) -> dict[str, Tensor]:
        """Return what a profile stores, by name."""
        suffix = _suffix(self.first, self.of_group)
        return {f"directions{suffix}": self.directions.to(torch.float16), f"stretch{suffix}": self.factors}


@dataclass(frozen=True, eq=False)
class StretchMatrix:
    """The sum of all stretched directions, rounded: a symmetric matrix that is added to that of no stretching."""

    first: int
    """The first of the channels."""
    rounded: Tensor
    """Channels x channels, int32, in units of one part in `units_of`."""
    of_group: bool = False

    @classmethod
    def from_half(cls, first: int, half: Tensor, width: int, *, of_group: bool) -> StretchMatrix:
        """Mirror the half below the diagonal, which includes the diagonal."""
        rounded = torch.empty(width, width, dtype=torch.int32)
        for row, numbers in enumerate(torch.split(half, list(range(1, width + 1)))):
            rounded[row, : row + 1] = numbers
            rounded[: row + 1, row] = numbers
        return cls(first, rounded, of_group)

    @property
    def channels(self) -> slice:
        """The channels of the matrix."""
        return slice(self.first, self.first + len(self.rounded))

    @property
    def valid(self) -> bool:
        """Whether sums over channels stay within float32, and every direction is stretched by a positive factor."""
        if not -_LARGEST <= int(self.rounded.min()) <= int(self.rounded.max()) <= _LARGEST:
            return False
        return int(torch.linalg.cholesky_ex(self._stretching()).info) == 0

    def _stretching(self) -> Tensor:
        """Channels x channels, float64: the sum of the identity and this matrix."""
        stretching = self.rounded.to(torch.float64).div_(units_of(len(self.rounded)))
        stretching.diagonal().add_(1)
        return stretching

    @lazy
    def _added(self) -> Tensor:
        """Channels x channels: the matrix of `added`."""
        return self.rounded.to(torch.float32) / units_of(len(self.rounded))

    def added(self, values: Tensor) -> Tensor:
        """Return the part that stretching adds to tokens x channels."""
        return values @ self._added

    def energy(self, values: Tensor) -> float:
        """Return the sum of squares of stretched tokens x channels."""
        return sum_of_squares(values + values @ self._added)

    def stretch_rows(self, rows: Tensor) -> Tensor:
        """Stretch rows of these channels, in their own precision."""
        return rows + rows @ self._added.to(rows.dtype)

    def shrink_rows(self, rows: Tensor) -> Tensor:
        """Invert `stretch_rows`."""
        shrunk: Tensor = rows.to(torch.float64) @ self._inverse
        return shrunk.to(rows.dtype)

    @lazy
    def _inverse(self) -> Tensor:
        """Channels x channels."""
        inverse: Tensor = torch.linalg.inv(self._stretching())
        return inverse

    def tensors(self) -> dict[str, Tensor]:
        """Return what a profile stores, by name: the half below the diagonal and the diagonal itself."""
        coded = np.frombuffer(write_matrix(_half_of(self.rounded).numpy()[None]), np.uint8)
        return {f"stretch_matrix{_suffix(self.first, self.of_group)}": torch.from_numpy(coded.copy())}


def find_stretch(values: Tensor, share: float, floor: float, first: int, *, of_group: bool = False) -> Stretch:
    """Find the directions of a matrix whose squared errors, times `share`, count for much more than `floor`."""
    channels = values.shape[1]
    sizes, vectors = torch.linalg.eigh(values @ values.T if len(values) < channels else values.T @ values)
    sizes, vectors = sizes.flip(0), vectors.flip(1)
    chosen = (share * sizes + floor) > _MIN_WEIGHT_RATIO * floor
    rows = vectors[:, chosen].T
    if len(values) < channels:
        rows = (rows @ values) / sizes[chosen].sqrt()[:, None]
    factors = ((share * sizes[chosen] + floor) / floor).sqrt() - 1
    if _MIN_MATRIX_CHANNELS <= channels <= _MAX_MATRIX_CHANNELS and 2 * len(rows) > channels:
        half = _half_of(torch.round((rows.T * factors) @ rows * units_of(channels)))
        if float(half.abs().max()) <= _LARGEST:
            return StretchMatrix.from_half(first, half.to(torch.int32), channels, of_group=of_group)
    return Directions(first, rows.to(torch.float16).to(torch.float32), factors.to(torch.float32), of_group)


def read_stretch(profile: Profile, first: int, width: int, *, of_group: bool) -> Stretch | None:
    """Read what a profile stores of some channels; None where none of their directions is stretched."""
    suffix = _suffix(first, of_group)
    if f"directions{suffix}" in profile.tensors:
        directions = profile.tensor(f"directions{suffix}", torch.float16, -1, width).to(torch.float32)
        return Directions(
            first, directions, profile.tensor(f"stretch{suffix}", torch.float32, len(directions)), of_group
        )
    if f"stretch_matrix{suffix}" in profile.tensors:
        if width > _MAX_MATRIX_CHANNELS:
            raise CodecError(
                f"profile {profile.id[:12]} has a stretch matrix of {width} channels; expected at most "
                f"{_MAX_MATRIX_CHANNELS}",
                "fit it again",
            )
        data = memoryview(profile.tensor(f"stretch_matrix{suffix}", torch.uint8, -1).numpy().tobytes())
        half = torch.from_numpy(read_matrix(data, 1, width * (width + 1) // 2)[0])
        return StretchMatrix.from_half(first, half, width, of_group=of_group)
    return None


def units_of(channels: int) -> int:
    """Return the parts of one that a stored matrix of so many channels is rounded to: a power of two.

    The rounding of a row, all channels together, then counts for some parts in a thousand of the least weight.
    """
    return 1 << 3 + ((channels - 1).bit_length() + 1) // 2


def sum_of_squares(values: Tensor) -> float:
    """Add up squares in float64."""
    return float(values.square().sum(dtype=torch.float64))


def _half_of(matrix: Tensor) -> Tensor:
    """Return the half below the diagonal, which includes the diagonal, row by row."""
    return torch.cat([numbers[: row + 1] for row, numbers in enumerate(matrix)])


def _suffix(first: int, of_group: bool) -> str:
    return f".{first}" if of_group else ""
