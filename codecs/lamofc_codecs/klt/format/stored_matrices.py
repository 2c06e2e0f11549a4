"""The matrices of a profile: basis and typical tokens, as they are, or coded where they are large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import SYMBOLS, Tables
from lamofc_codecs.errors import CodecError
from lamofc_codecs.klt.transform import MAX_TYPICAL_TOKENS, Basis, TokenCodebook
from lamofc_codecs.level_coding import is_codable, read_matrix, write_matrix
from lamofc_codecs.profile import Profile

_MAX_BYTE = 127
_MAX_SHIFT = 30
_TILE = 512
"""Channels that typical tokens are multiplied to at once."""
_MAX_STEP = 2.0**120
_MAX_SUM = 2.0**51
"""Bound of sums of coded typical tokens, so that float64 holds them, and their quotients, exactly."""


@dataclass(frozen=True, eq=False)
class TypicalColumns:
    """Typical tokens as columns of a basis, each column in a step of its own, instead of as channels."""

    levels: NDArray[np.int32]
    """Columns x typical tokens."""
    shift: NDArray[np.uint8]
    """Binary logarithm of the step of each column, in units of `step`."""
    step: np.float32

    def to_channels(self, basis: Basis) -> Basis:
        """Multiply by the basis, exactly, and round the channels to int8 with a scale each."""
        if not is_codable(self.levels.shape[1], basis.channels):
            raise CodecError(
                f"{self.levels.shape[1]} typical tokens of {basis.channels} channels are too many to be coded",
                "fit the profile again",
            )
        multiples = np.exp2(self.shift.astype(np.float64))
        if basis.stride is not None:
            multiples *= basis.stride.numpy()
        scaled = self.levels * multiples[:, None]
        if (np.abs(scaled).sum(0) * _MAX_BYTE).max(initial=0) > _MAX_SUM:
            raise CodecError(f"typical tokens whose sums exceed {_MAX_SUM}", "fit the profile again")
        tokens = torch.from_numpy(scaled).T.contiguous()
        rows, divisors = torch.empty(len(tokens), basis.channels, dtype=torch.int8), []
        for start in range(0, basis.channels, _TILE):
            tile = slice(start, start + _TILE)
            sums = tokens @ basis.rows[:, tile].to(torch.float64)
            divisor = torch.ceil(sums.abs().amax(0) / _MAX_BYTE).clamp(min=1)
            rows[:, tile] = sums.mul_(2).add_(divisor).div_(2 * divisor).floor_()
            divisors.append(divisor)
        scale = basis.scale.to(torch.float64) * torch.cat(divisors) * float(self.step)
        return Basis(rows, scale.to(torch.float32))

    def tensors(self) -> dict[str, Tensor]:
        """Return what a profile stores, by name."""
        return {
            "means_coded": _coded(self.levels),
            "means_count": torch.tensor([self.levels.shape[1]], dtype=torch.int32),
            "means_shift": torch.from_numpy(self.shift),
            "means_step": torch.tensor([float(self.step)]),
        }

    @classmethod
    def from_profile(cls, profile: Profile, columns: int) -> TypicalColumns:
        """Read and check what a profile stores."""
        shift = profile.tensor("means_shift", torch.uint8, columns).numpy()
        step = float(profile.tensor("means_step", torch.float32, 1)[0])
        count = int(profile.tensor("means_count", torch.int32, 1)[0])
        if shift.max(initial=0) > _MAX_SHIFT or not 0 < step < _MAX_STEP:
            raise CodecError(
                f"profile {profile.id[:12]} has typical tokens in steps of {step}, times up to 2^{shift.max()}",
                "fit it again",
            )
        _check_count(profile, count)
        return cls(_read(profile, "means_coded", columns, count), shift, np.float32(step))


def basis_tensors(basis: Basis, *, coded: bool) -> dict[str, Tensor]:
    """Return what a profile stores of a basis, by name."""
    rows = {"basis_coded": _coded(basis.rows.numpy().astype(np.int32))} if coded else {"basis": basis.rows}
    stride = {} if basis.stride is None else {"basis_stride": basis.stride.to(torch.uint8)}
    return {**rows, "basis_scale": basis.scale, **stride}


def read_basis(profile: Profile, columns: int, channels: int) -> Basis | None:
    """Read the basis; None where channels are not transformed."""
    if "basis_coded" in profile.tensors:
        rows = _bytes_of(profile, _read(profile, "basis_coded", columns, channels))
    elif "basis" in profile.tensors:
        rows = profile.tensor("basis", torch.int8, columns, channels)
    else:
        return None
    scale, stride = profile.tensor("basis_scale", torch.float32, channels), None
    if "basis_stride" in profile.tensors:
        stride = profile.tensor("basis_stride", torch.uint8, columns).to(torch.int32)
    return Basis(rows, scale, stride)


def read_codebook(profile: Profile, basis: Basis | None, channels: int) -> TokenCodebook | None:
    """Read the typical tokens; None where there are none."""
    if "means_coded" in profile.tensors and basis is not None:
        typical = TypicalColumns.from_profile(profile, basis.columns).to_channels(basis)
    elif "means" in profile.tensors:
        rows = profile.tensor("means", torch.int8, -1, channels)
        _check_count(profile, len(rows))
        typical = Basis(rows, profile.tensor("means_scale", torch.float32, channels))
    else:
        return None
    return TokenCodebook(typical, read_table(profile, "mean_numbers"))


def read_table(profile: Profile, name: str) -> Tables:
    """Read a table of symbols."""
    freqs = profile.tensor(name, torch.int32, SYMBOLS).numpy()
    return Tables(np.ascontiguousarray(np.clip(freqs, 0, (1 << 16) - 1).astype(np.uint16)[None]))


def _coded(matrix: NDArray[np.int32]) -> Tensor:
    return torch.frombuffer(bytearray(write_matrix(matrix)), dtype=torch.uint8)


def _read(profile: Profile, name: str, rows: int, columns: int) -> NDArray[np.int32]:
    return read_matrix(memoryview(profile.tensor(name, torch.uint8, -1).numpy().tobytes()), rows, columns)


def _bytes_of(profile: Profile, matrix: NDArray[np.int32]) -> Tensor:
    largest = int(np.abs(matrix).max(initial=0))
    if largest > _MAX_BYTE:
        raise CodecError(
            f"profile {profile.id[:12]} has {largest} in its basis; the largest is {_MAX_BYTE}", "fit it again"
        )
    return torch.from_numpy(matrix.astype(np.int8))


def _check_count(profile: Profile, count: int) -> None:
    if not 1 <= count <= MAX_TYPICAL_TOKENS:
        raise CodecError(
            f"profile {profile.id[:12]} has {count} typical tokens; expected 1 to {MAX_TYPICAL_TOKENS}",
            "fit it again",
        )
