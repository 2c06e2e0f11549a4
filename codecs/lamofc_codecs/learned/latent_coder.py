"""Code the latents of a tile, in one order that the writer and the reader share.

`Model.walk` passes each part of the latents to a `Coding`. The writer rounds the part and codes its values; the reader
takes the values from the stream. Both continue with the same numbers, which alone determine the later parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from lamofc_codecs.learned.networks import HYPER, Layers, Sizes, Weights, run
from lamofc_codecs.learned.rans64 import Cdfs, Ints, Reader, Writer
from lamofc_codecs.source import CPU

_MAX_MAGNITUDE = 1 << 26
"""Largest magnitude of a coded value. CompressAI's own writer does not terminate from 2 ** 27 on."""


class Coding(Protocol):
    """One direction of coding: to a stream or from one."""

    def code(self, latents: Tensor | None, middles: Tensor, indexes: Tensor, cdfs: Cdfs) -> Tensor:
        """Code one part of the latents, and return it as the reader decodes it.

        The coded values are `latents`, which only the writer has, less `middles`, rounded to integers.
        """


class Writing:
    """Coding of latents to a stream."""

    def __init__(self) -> None:
        self._stream = Writer()
        self.values: list[Ints] = []

    def code(self, latents: Tensor | None, middles: Tensor, indexes: Tensor, cdfs: Cdfs) -> Tensor:
        """Round a part of the latents, write its values, and return the rounded part."""
        assert latents is not None  # noqa: S101 - for the type checker: a walk with a writer has latents
        rounded = torch.round(latents - middles).clamp(-_MAX_MAGNITUDE, _MAX_MAGNITUDE)
        values = rounded.flatten().to(torch.int32).numpy()
        self.values.append(values)
        self._stream.push(values, indexes.flatten().to(torch.int32).numpy(), cdfs)
        return rounded + middles

    def finish(self) -> bytes:
        """Return the stream."""
        return self._stream.finish()


class Reading:
    """Coding of a stream to latents."""

    def __init__(self, data: memoryview) -> None:
        self._stream = Reader(data)
        self.values: list[Ints] = []

    def code(self, latents: Tensor | None, middles: Tensor, indexes: Tensor, cdfs: Cdfs) -> Tensor:
        """Read the next part of the latents."""
        values = self._stream.pull(indexes.flatten().to(torch.int32).numpy(), cdfs)
        self.values.append(values)
        return torch.from_numpy(values).view(indexes.shape).to(middles.dtype) + middles

    def finish(self) -> None:
        """Refuse a stream that is not at its end."""
        self._stream.finish()


@dataclass(frozen=True)
class Model:
    """The networks of a profile with their weights and entropy tables, on the CPU."""

    sizes: Sizes
    networks: dict[str, Layers]
    weights: Weights
    """Weights in float32, of the networks that may run on a device."""
    exact: Weights
    """Weights in float64, of the networks whose results must agree on all machines."""
    medians: Tensor
    """Medians of the hyper latent, float32 [N]."""
    scales: Tensor
    """Spreads of the tables of the latent, float32, rising."""
    hyper: Cdfs
    latent: Cdfs
    device_weights: dict[torch.device, Weights] = field(default_factory=dict)
    """Copies of `weights` on other devices, made at the first use of each."""

    def analyse(self, plane: Tensor, device: torch.device = CPU) -> Tensor:
        """Transform a tile to the latent, on a device. Rows and columns are multiples of 64."""
        with _exact_floats(device):
            return run("g_a", self.networks["g_a"], plane.to(device)[None, None], self._on(device)).cpu()

    def restore(self, latent: Tensor, device: torch.device = CPU) -> Tensor:
        """Transform the latent back to a tile, on a device."""
        with _exact_floats(device):
            return run("g_s", self.networks["g_s"], latent.to(device), self._on(device))[0, 0]

    def _on(self, device: torch.device) -> Weights:
        if device == CPU:
            return self.weights
        if device not in self.device_weights:
            self.device_weights[device] = {name: tensor.to(device) for name, tensor in self.weights.items()}
        return self.device_weights[device]

    def walk(self, coding: Coding, rows: int, columns: int, latent: Tensor | None = None) -> Tensor:
        """Write or read a latent of these rows and columns, and return it as the reader decodes it."""
        hyper = None
        if latent is not None:
            magnitudes = latent.abs() if self.sizes.arch == "hyperprior" else latent
            hyper = run("h_a", self.networks["h_a"], magnitudes, self.weights)
        shape = (1, self.sizes.inner, rows // HYPER, columns // HYPER)
        numbers = torch.arange(self.sizes.inner, dtype=torch.int32)[None, :, None, None].expand(shape)
        coded = coding.code(hyper, self.medians[None, :, None, None].expand(shape), numbers, self.hyper)
        side = self._exactly("h_s", coded)
        if self.sizes.arch == "hyperprior":
            return coding.code(latent, torch.zeros_like(side), self._table_of(side), self.latent)
        return self._walk_groups(coding, side, latent)

    def _walk_groups(self, coding: Coding, side: Tensor, latent: Tensor | None) -> Tensor:
        """Code the latent of ELIC by groups of channels, and in each group by the two colours of a checkerboard."""
        groups = [None] * len(self.sizes.groups) if latent is None else torch.split(latent, list(self.sizes.groups), 1)
        done: list[Tensor] = []
        for number, (group, size) in enumerate(zip(groups, self.sizes.groups, strict=True)):
            condition = side
            if number:
                condition = torch.cat([self._exactly(f"channel.{number}", torch.cat(done, 1)), side], 1)
            decoded = torch.zeros(1, size, *side.shape[2:])
            context = torch.zeros(1, 2 * size, *side.shape[2:])
            for colour in (0, 1):
                if colour:
                    context = self._exactly(f"spatial.{number}", decoded)
                merged = torch.cat([_pick(context, colour), _pick(condition, colour)], 1)
                scales, means = self._exactly(f"combine.{number}", merged).chunk(2, 1)
                cells = None if group is None else _pick(group, colour)
                _put(decoded, coding.code(cells, means, self._table_of(scales), self.latent), colour)
            done.append(decoded)
        return torch.cat(done, 1)

    def _exactly(self, name: str, x: Tensor) -> Tensor:
        return run(name, self.networks[name], x.to(torch.float64), self.exact).to(torch.float32)

    def _table_of(self, scales: Tensor) -> Tensor:
        return torch.searchsorted(self.scales[:-1], scales.contiguous())


@contextmanager
def _exact_floats(device: torch.device) -> Iterator[None]:
    """Forbid TF32 in the convolutions of a GPU, because its short mantissas would move pixels by whole levels."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False):
        yield


def _pick(x: Tensor, colour: int) -> Tensor:
    """Return the cells of one colour: for colour 0 the even columns of even rows and the odd columns of odd rows."""
    out = x.new_empty(*x.shape[:3], x.shape[3] // 2)
    out[..., 0::2, :] = x[..., 0::2, colour::2]
    out[..., 1::2, :] = x[..., 1::2, 1 - colour :: 2]
    return out


def _put(x: Tensor, cells: Tensor, colour: int) -> None:
    """Write the cells of one colour into `x`, the inverse of `_pick`."""
    x[..., 0::2, colour::2] = cells[..., 0::2, :]
    x[..., 1::2, 1 - colour :: 2] = cells[..., 1::2, :]
