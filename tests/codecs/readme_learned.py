"""Decoders of hyperprior, elic, vvc and hevc, written from codecs/README.md alone: slow, plain, trusting."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load

Array = NDArray[np.float32]
Weights = dict[str, torch.Tensor]


def read(profile: bytes) -> tuple[dict[str, Any], Weights]:
    (length,) = struct.unpack_from("<Q", profile)
    text = json.loads(profile[8 : 8 + length])["__metadata__"]["lamofc"]
    return json.loads(text)["config"], load(profile)


class Stream:
    def __init__(self, data: bytes) -> None:
        self.words = [int(word) for word in np.frombuffer(data, "<u4")]
        self.x = self.words.pop(0) | self.words.pop(0) << 32

    def refill(self) -> None:
        if self.x < 1 << 31:
            self.x = self.x << 32 | self.words.pop(0)

    def digit(self) -> int:
        found = self.x % 16
        self.x //= 16
        self.refill()
        return found

    def number(self, cdf: list[int], offset: int) -> int:
        last = len(cdf) - 2
        slot = self.x % 65536
        place = max(i for i in range(last + 1) if cdf[i] <= slot)
        self.x = (cdf[place + 1] - cdf[place]) * (self.x // 65536) + slot - cdf[place]
        self.refill()
        if place == last:
            v = sum(self.digit() << 4 * j for j in range(self.digit()))
            place = last + v // 2 if v % 2 == 0 else -((v + 1) // 2)
        return place + offset


def rows(t: Weights, name: str) -> list[tuple[list[int], int]]:
    lengths, offsets = t[f"{name}_length"].tolist(), t[f"{name}_offset"].tolist()
    return [(t[f"{name}_cdf"][i, :n].tolist(), offsets[i]) for i, n in enumerate(lengths)]


def network(words: str, name: str, x: torch.Tensor, t: Weights, sizes: dict[str, int]) -> torch.Tensor:
    """Runs `c:N:5:2 gdn r b a u:1:5:2`, the README's notation with colons."""

    def conv(key: str, x: torch.Tensor, k: int, s: int = 1, up: bool = False) -> torch.Tensor:
        w, b = (t[f"net.{name}.{key}.{part}"].to(x.dtype) for part in ("weight", "bias"))
        assert w.shape[-1] == k
        if up:
            return F.conv_transpose2d(x, w, b, s, (k - 1) // 2, s - 1)
        return F.conv2d(x, w, b, s, (k - 1) // 2)

    def pinch(keys: list[str], x: torch.Tensor) -> torch.Tensor:
        return conv(keys[2], F.relu(conv(keys[1], F.relu(conv(keys[0], x, 1)), 3)), 1)

    for place, word in enumerate(words.split()):
        kind, *numbers = word.split(":")
        if kind in "cu":
            x = conv(f"{place}", x, int(numbers[1]), int(numbers[2]), kind == "u")
            assert x.shape[1] == sizes.get(numbers[0], 0) or numbers[0] not in sizes
        elif kind == "r":
            x = x.clamp(min=0)
        elif kind in ("gdn", "ungdn"):
            beta, gamma = (t[f"net.{name}.{place}.{part}"] for part in ("beta", "gamma"))
            norm = torch.sqrt(beta[None, :, None, None] + torch.einsum("ij,bjyx->biyx", gamma, x**2))
            x = x / norm if kind == "gdn" else x * norm
        elif kind == "b":
            x = x + pinch([f"{place}.conv{i}" for i in (1, 2, 3)], x)
        else:
            branches = []
            for branch in ("conv_a", "conv_b"):
                y = x
                for u in range(3):
                    y = F.relu(y + pinch([f"{place}.{branch}.{u}.conv.{i}" for i in (0, 2, 4)], y))
                branches.append(y)
            x = x + branches[0] * torch.sigmoid(conv(f"{place}.conv_b.3", branches[1], 1))
    return x


G_S = {
    "hyperprior": "u:N:5:2 ungdn u:N:5:2 ungdn u:N:5:2 ungdn u:1:5:2",
    "elic": "a u:N:5:2 b b b u:N:5:2 a b b b u:N:5:2 b b b u:1:5:2",
}
H_S = {"hyperprior": "u:N:5:2 r u:N:5:2 r c:M:3:1 r", "elic": "u:N:5:2 r u:3N/2:5:2 r u:2N:3:1"}


def learned(arch: str, data: bytes, shape: tuple[int, int], profile: bytes) -> Array:
    config, t = read(profile)
    side, at = config["tile"] or max(shape), 4
    planes = 1
    if config.get("planes"):
        (planes,), at = struct.unpack_from("<I", data, at), at + 4
    high = shape[0] // planes
    corners = [
        (first, y, x)
        for first in range(0, shape[0], high)
        for y in range(0, high, side)
        for x in range(0, shape[1], side)
    ]
    lengths = [4 * n for n in struct.unpack_from(f"<{len(corners)}I", data, at)]
    plane, at = np.zeros(shape, np.float32), at + 4 * len(corners)
    for (first, row, left), length in zip(corners, lengths, strict=True):
        top, h, w = first + row, min(side, high - row), min(side, shape[1] - left)
        rows_, columns = -(-h // 64) * 64, -(-w // 64) * 64
        stream = Stream(data[at : at + length])
        at += length
        pixels = tile(arch, stream, rows_ // 16, columns // 16, config, t)
        assert (stream.x, stream.words) == (1 << 31, [])
        above, before = (rows_ - h) // 2, (columns - w) // 2
        plane[top : top + h, left : left + w] = pixels.clamp(0, 1)[above : above + h, before : before + w].numpy()
    assert at == len(data)
    return np.concatenate([values(part, own, config, t) for part, own in enumerate(in_parts(plane, config))], 1)


def in_parts(plane: NDArray[Any], config: dict[str, Any]) -> list[NDArray[Any]]:
    return np.split(plane, np.cumsum([width for _, width in config.get("parts", [])])[:-1].astype(int), 1)


def ends_of(part: int, config: dict[str, Any]) -> tuple[float, float]:
    ends = config["range"]
    low, high = ends[part] if isinstance(ends[0], list) else ends
    return low, high


def values(part: int, pixels: Array, config: dict[str, Any], t: Weights) -> Array:
    if "range" in config:
        low, high = ends_of(part, config)
        return pixels / np.float32(1 / (high - low)) + np.float32(low)
    levels = t["levels"].numpy().reshape(len(config.get("parts", [])) or 1, -1)[part]
    found: Array = levels[np.clip(np.rint(pixels * np.float32(len(levels))), 0, len(levels) - 1).astype(np.int64)]
    return found


def tile(arch: str, stream: Stream, h: int, w: int, config: dict[str, Any], t: Weights) -> torch.Tensor:
    n, m = config["inner"], config["latent"]
    sizes = {"N": n, "M": m, "1": 1, "2N": 2 * n, "3N/2": 3 * n // 2}
    hyper, latent = rows(t, "hyper"), rows(t, "latent")
    z = torch.empty(1, n, h // 4, w // 4)
    for c in range(n):
        for y in range(h // 4):
            for x in range(w // 4):
                z[0, c, y, x] = stream.number(*hyper[c]) + t["medians"][c]
    about = network(H_S[arch], "h_s", z.double(), t, sizes).float()

    def pull(spreads: torch.Tensor, cells: list[tuple[int, int]]) -> Iterator[tuple[int, int, int, int]]:
        for c in range(spreads.shape[1]):
            for y, x in cells:
                row = int((t["scales"][:-1] < spreads[0, c, y, x]).sum())
                yield c, y, x, stream.number(*latent[row])

    if arch == "hyperprior":
        found = torch.zeros(1, m, h, w)
        for c, y, x, value in pull(about, [(y, x) for y in range(h) for x in range(w)]):
            found[0, c, y, x] = value
        return network(G_S[arch], "g_s", found, t, sizes)[0, 0]
    groups: list[torch.Tensor] = []
    for k, size in enumerate(config["groups"]):
        side = about
        if k:
            first, second = config["context"][k - 1] if "context" in config else (224, 128)
            sizes |= {f"{width}": width for width in (first, second)}
            words = f"c:{first}:5:1 r c:{second}:5:1 r c:{2 * size}:5:1"
            side = torch.cat(
                [network(words, f"channel.{k}", torch.cat(groups, 1).double(), t, sizes).float(), about], 1
            )
        group = torch.zeros(1, size, h, w)
        for colour in (0, 1):
            context = torch.zeros(1, 2 * size, h, w)
            if colour:
                context = network("c:n:5:1", f"spatial.{k}", group.double(), t, sizes).float()
            merged = torch.cat([context, side], 1).double()
            both = network("c:n1:1:1 r c:n2:1:1 r c:n:1:1", f"combine.{k}", merged, t, sizes).float()
            spreads, means = both[:, :size], both[:, size:]
            cells = [(y, x) for y in range(h) for x in range(w) if (y % 2 == x % 2) == (colour == 0)]
            for c, y, x, value in pull(spreads, cells):
                group[0, c, y, x] = value + means[0, c, y, x]
        groups.append(group)
    return network(G_S[arch], "g_s", torch.cat(groups, 1), t, sizes)[0, 0]


def frame(container: str, data: bytes, shape: tuple[int, int], profile: bytes, ffmpeg: Callable[[], str]) -> Array:
    config, _ = read(profile)
    h, w = (max(16, -(-side // 8) * 8) for side in shape)
    command = [
        ffmpeg(),
        "-v",
        "error",
        "-f",
        container,
        "-i",
        "pipe:0",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p10le",
        "-",
    ]
    out = subprocess.run(command, input=data, capture_output=True, check=True).stdout
    pixels = np.frombuffer(out[: 2 * h * w], "<u2").reshape(h, w)[: shape[0], : shape[1]]
    parts = [(*ends_of(part, config), own) for part, own in enumerate(in_parts(pixels, config))]
    return np.concatenate([(low + own * ((high - low) / 1023)).astype(np.float32) for low, high, own in parts], 1)
