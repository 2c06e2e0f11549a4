"""The networks of the learned codecs as lists of layers, each with the shapes of its weights and its computation.

Hyperprior is that of Balle et al. (2018), ELIC that of He et al. (2022), both with one channel in and out. The layers
and their places are those of CompressAI's models, so that weights trained there fit; nothing here needs CompressAI.
Layers whose results must select the same symbols on all machines run in float64: the order of a sum then changes a
result a billion times less than it takes to move a symbol.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

Layers = tuple["Layer", ...]
Weights = Mapping[str, Tensor]
STRIDE = 64
"""Rows and columns of the plane for each number of the hyper latent; a number of the latent stands for 16."""
HYPER = 4
"""Rows and columns of the latent for each number of the hyper latent."""


@dataclass(frozen=True)
class Layer:
    """One step of a network. `kind` is conv, up (transposed), gdn, ungdn, relu, bottleneck or attention."""

    kind: str
    into: int = 0
    out: int = 0
    kernel: int = 5
    stride: int = 1

    def shapes(self, name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the names and shapes of the layer's weights."""
        n, half = self.into, self.into // 2
        if self.kind in ("conv", "up"):
            first, second = (self.out, self.into) if self.kind == "conv" else (self.into, self.out)
            yield f"{name}.weight", (first, second, self.kernel, self.kernel)
            yield f"{name}.bias", (self.out,)
        elif self.kind in ("gdn", "ungdn"):
            yield f"{name}.beta", (n,)
            yield f"{name}.gamma", (n, n)
        elif self.kind == "bottleneck":
            for part, layer in zip(("conv1", "conv2", "conv3"), _pinched(n, half), strict=True):
                yield from layer.shapes(f"{name}.{part}")
        elif self.kind == "attention":
            for branch in ("conv_a", "conv_b"):
                for unit in range(3):
                    for place, layer in zip((0, 2, 4), _pinched(n, half), strict=True):
                        yield from layer.shapes(f"{name}.{branch}.{unit}.conv.{place}")
            yield from Layer("conv", n, n, 1).shapes(f"{name}.conv_b.3")

    def run(self, name: str, x: Tensor, weights: Weights) -> Tensor:
        """Apply the layer."""
        if self.kind == "conv":
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            return F.conv2d(x, weight, bias, self.stride, self.kernel // 2)
        if self.kind == "up":
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            return F.conv_transpose2d(x, weight, bias, self.stride, self.kernel // 2, self.stride - 1)
        if self.kind == "relu":
            return F.relu(x)
        if self.kind in ("gdn", "ungdn"):
            power = F.conv2d(x * x, weights[f"{name}.gamma"][:, :, None, None], weights[f"{name}.beta"])
            return x * (power.rsqrt() if self.kind == "gdn" else power.sqrt())
        if self.kind == "bottleneck":
            return x + _pinch([f"{name}.conv{part}" for part in (1, 2, 3)], x, self.into, weights)
        return self._attend(name, x, weights)

    def _attend(self, name: str, x: Tensor, weights: Weights) -> Tensor:
        branches = []
        for branch in ("conv_a", "conv_b"):
            y = x
            for unit in range(3):
                names = [f"{name}.{branch}.{unit}.conv.{part}" for part in (0, 2, 4)]
                y = F.relu(y + _pinch(names, y, self.into, weights))
            branches.append(y)
        gate = Layer("conv", self.into, self.into, 1).run(f"{name}.conv_b.3", branches[1], weights)
        return x + branches[0] * torch.sigmoid(gate)


def _pinched(n: int, half: int) -> Layers:
    """Return the layers of a bottleneck: down to half the channels, a convolution, and back up."""
    return (Layer("conv", n, half, 1), Layer("conv", half, half, 3), Layer("conv", half, n, 1))


def _pinch(names: list[str], x: Tensor, n: int, weights: Weights) -> Tensor:
    first, second, third = _pinched(n, n // 2)
    x = F.relu(first.run(names[0], x, weights))
    x = F.relu(second.run(names[1], x, weights))
    return third.run(names[2], x, weights)


@dataclass(frozen=True)
class Sizes:
    """Channel counts of the networks of one architecture."""

    arch: str
    """Architecture: `hyperprior` or `elic`."""
    inner: int
    """Channels of the inner layers, N in the papers."""
    latent: int
    """Channels of the latent, M in the papers."""
    groups: tuple[int, ...] = ()
    """Channels of each group of the latent, for ELIC."""
    context: tuple[tuple[int, int], ...] = ()
    """Channels of both inner layers of the channel context of each group after the first, for ELIC; those of the papers
    if none are given."""

    def __post_init__(self) -> None:
        """Fill in the channel context of the papers."""
        if not self.context:
            before = accumulate(self.groups)
            ramps = [_ramp(seen, 2 * size, self.inner) for seen, size in zip(before, self.groups[1:], strict=False)]
            object.__setattr__(self, "context", tuple((ramp[1], ramp[2]) for ramp in ramps))

    def networks(self) -> dict[str, Layers]:
        """Return all networks by name. The results of the context networks and of `h_s` must agree on all machines."""
        return _hyperprior(self.inner, self.latent) if self.arch == "hyperprior" else _elic(self)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every weight by name."""
        return {
            name: shape
            for network, layers in self.networks().items()
            for number, layer in enumerate(layers)
            for name, shape in layer.shapes(f"{network}.{number}")
        }


def run(name: str, layers: Layers, x: Tensor, weights: Weights) -> Tensor:
    """Apply a network: all its layers in turn."""
    for number, layer in enumerate(layers):
        x = layer.run(f"{name}.{number}", x, weights)
    return x


def _hyperprior(n: int, m: int) -> dict[str, Layers]:
    relu = Layer("relu")
    down, up = Layer("conv", n, n, 5, 2), Layer("up", n, n, 5, 2)
    gdn, ungdn = Layer("gdn", n), Layer("ungdn", n)
    return {
        "g_a": (Layer("conv", 1, n, 5, 2), gdn, down, gdn, down, gdn, Layer("conv", n, m, 5, 2)),
        "g_s": (Layer("up", m, n, 5, 2), ungdn, up, ungdn, up, ungdn, Layer("up", n, 1, 5, 2)),
        "h_a": (Layer("conv", m, n, 3), relu, down, relu, down),
        "h_s": (up, relu, up, relu, Layer("conv", n, m, 3), relu),
    }


def _elic(sizes: Sizes) -> dict[str, Layers]:
    n, m = sizes.inner, sizes.latent
    relu, wide = Layer("relu"), n * 3 // 2
    down, up = Layer("conv", n, n, 5, 2), Layer("up", n, n, 5, 2)
    three, attention = (Layer("bottleneck", n),) * 3, Layer("attention", n)
    networks: dict[str, Layers] = {
        "g_a": (
            *(Layer("conv", 1, n, 5, 2), *three, down, *three, attention, down, *three),
            *(Layer("conv", n, m, 5, 2), Layer("attention", m)),
        ),
        "g_s": (
            *(Layer("attention", m), Layer("up", m, n, 5, 2), *three, up, attention, *three),
            *(up, *three, Layer("up", n, 1, 5, 2)),
        ),
        "h_a": (Layer("conv", m, n, 3), relu, down, relu, down),
        "h_s": (up, relu, Layer("up", n, wide, 5, 2), relu, Layer("up", wide, 2 * n, 3)),
    }
    for k, (size, before) in enumerate(zip(sizes.groups, accumulate(sizes.groups, initial=0), strict=False)):
        if k:
            first, second = sizes.context[k - 1]
            middle = (Layer("conv", before, first), relu, Layer("conv", first, second), relu)
            networks[f"channel.{k}"] = (*middle, Layer("conv", second, 2 * size))
        networks[f"spatial.{k}"] = (Layer("conv", size, 2 * size),)
        widths = _ramp(2 * n + 2 * size * (1 + (k > 0)), 2 * size, 2 * n)
        steps = [Layer("conv", a, b, 1) for a, b in pairwise(widths)]
        networks[f"combine.{k}"] = (steps[0], relu, steps[1], relu, steps[2])
    return networks


def _ramp(first: int, last: int, minimum: int) -> list[int]:
    """Return the widths of three layers, which fall evenly; the inner ones are at least `minimum`."""
    return [first, max((2 * first + last) // 3, minimum), max((first + 2 * last) // 3, minimum), last]
