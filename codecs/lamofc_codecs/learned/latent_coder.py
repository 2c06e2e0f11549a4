"""What is coded of a tile and in which order: one walk for the writer and for the reader, so that they cannot part.

A walk asks its `Coding` for each part of the latents. A writer rounds what it is given and keeps the values; a reader
takes them from the stream. Either gets back the same numbers, and from these alone follows what comes next.
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

_MOST = 1 << 26
"""No rounded value is beyond; CompressAI's own writer never ends from 2 ** 27 on."""


class Coding(Protocol):
    """The direction that a walk goes in."""

    def code(self, given: Tensor | None, middles: Tensor, indexes: Tensor, cdfs: Cdfs) -> Tensor:
        """Numbers as the reader has them; `given` are the writer's own, less `middles` rounded to whole ones."""


class Writing:
    """From latents to a stream."""

    def __init__(self) -> None:
        self._stream = Writer()
        self.values: list[Ints] = []

    def code(self, given: Tensor | None, middles: Tensor, indexes: Tensor, cdfs: Cdfs) -> Tensor:
        """Round, keep, and give back."""
        assert given is not None  # noqa: S101 - for the type checker: a walk with a writer has latents
        whole = torch.round(given - middles).clamp(-_MOST, _MOST)
        values = whole.flatten().to(torch.int32).numpy()
        self.values.append(values)
        self._stream.push(values, indexes.flatten().to(torch.int32).numpy(), cdfs)
        return whole + middles

    def finish(self) -> bytes:
        """The stream."""
        return self._stream.finish()


class Reading:
    """From a stream to latents."""

    def __init__(self, data: memoryview) -> None:
        self._stream = Reader(data)
        self.values: list[Ints] = []

    def code(self, given: Tensor | None, middles: Tensor, indexes: Tensor, cdfs: Cdfs) -> Tensor:
        """Take the next values."""
        values = self._stream.pull(indexes.flatten().to(torch.int32).numpy(), cdfs)
        self.values.append(values)
        return torch.from_numpy(values).view(indexes.shape).to(middles.dtype) + middles

    def finish(self) -> None:
        """Demand that the stream is at its end."""
        self._stream.finish()


@dataclass(frozen=True)
class Model:
    """The networks of a profile with their weights and entropy tables, on the CPU."""

    sizes: Sizes
    networks: dict[str, Layers]
    weights: Weights
    """In float32."""
    exact: Weights
    """In float64, of the networks that must agree everywhere."""
    medians: Tensor
    """Of the hyper latent, float32 [N]."""
    scales: Tensor
    """Spreads that the tables of the latent are for, float32, rising."""
    hyper: Cdfs
    latent: Cdfs
    there: dict[torch.device, Weights] = field(default_factory=dict)
    """Weights on other devices, brought there once."""

    def analyse(self, plane: Tensor, device: torch.device = CPU) -> Tensor:
        """From a tile of the plane, rows x columns, multiples of 64, to the latent; worked out on a device."""
        with _exact_floats(device):
            return run("g_a", self.networks["g_a"], plane.to(device)[None, None], self._on(device)).cpu()

    def restore(self, latent: Tensor, device: torch.device = CPU) -> Tensor:
        """From the latent to a tile, on a device."""
        with _exact_floats(device):
            return run("g_s", self.networks["g_s"], latent.to(device), self._on(device))[0, 0]

    def _on(self, device: torch.device) -> Weights:
        if device == CPU:
            return self.weights
        if device not in self.there:
            self.there[device] = {name: tensor.to(device) for name, tensor in self.weights.items()}
        return self.there[device]

    def walk(self, coding: Coding, rows: int, columns: int, latent: Tensor | None = None) -> Tensor:
        """Write or read a latent of so many rows and columns; what the reader has of it."""
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
        """ELIC: group after group of channels, in each the cells of a checkerboard's one colour and then the other."""
        given = [None] * len(self.sizes.groups) if latent is None else torch.split(latent, list(self.sizes.groups), 1)
        done: list[Tensor] = []
        for number, (own, size) in enumerate(zip(given, self.sizes.groups, strict=True)):
            about = side
            if number:
                about = torch.cat([self._exactly(f"channel.{number}", torch.cat(done, 1)), side], 1)
            whole = torch.zeros(1, size, *side.shape[2:])
            context = torch.zeros(1, 2 * size, *side.shape[2:])
            for colour in (0, 1):
                if colour:
                    context = self._exactly(f"spatial.{number}", whole)
                merged = torch.cat([_pick(context, colour), _pick(about, colour)], 1)
                scales, means = self._exactly(f"combine.{number}", merged).chunk(2, 1)
                half = None if own is None else _pick(own, colour)
                _put(whole, coding.code(half, means, self._table_of(scales), self.latent), colour)
            done.append(whole)
        return torch.cat(done, 1)

    def _exactly(self, name: str, x: Tensor) -> Tensor:
        return run(name, self.networks[name], x.to(torch.float64), self.exact).to(torch.float32)

    def _table_of(self, scales: Tensor) -> Tensor:
        return torch.searchsorted(self.scales[:-1], scales.contiguous())


@contextmanager
def _exact_floats(device: torch.device) -> Iterator[None]:
    """No shortened floats in a GPU's convolutions: they would move pixels by whole levels."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False):
        yield


def _pick(x: Tensor, colour: int) -> Tensor:
    """Cells of one colour: of even rows the even columns for 0, of odd rows the odd ones."""
    out = x.new_empty(*x.shape[:3], x.shape[3] // 2)
    out[..., 0::2, :] = x[..., 0::2, colour::2]
    out[..., 1::2, :] = x[..., 1::2, 1 - colour :: 2]
    return out


def _put(x: Tensor, cells: Tensor, colour: int) -> None:
    """The inverse."""
    x[..., 0::2, colour::2] = cells[..., 0::2, :]
    x[..., 1::2, 1 - colour :: 2] = cells[..., 1::2, :]
