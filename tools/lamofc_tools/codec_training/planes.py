"""Features of stores as planes of level numbers, as the learned codecs see them, and random crops of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
import torch.nn.functional as F
from torch import Tensor

import lamofc_store as lamofc
from lamofc_codecs import number_planes
from lamofc_store.errors import BadArgument
from lamofc_store.sample import pattern_for, to_tokens

_FIT = 10
"""Samples of each feature that its levels are placed on."""
_HELD_OUT = 10
"""One plane of so many is not trained on."""


@dataclass
class Planes:
    """Planes, tokens x channels, each number divided by how many there are; some to train on, some to watch by."""

    train: list[Tensor] = field(default_factory=list)
    watch: list[Tensor] = field(default_factory=list)
    seed: int = 0

    @classmethod
    def of_stores(
        cls, stores: Sequence[lamofc.Store], globs: Sequence[str], *, where: str | None = None, seed: int = 0
    ) -> Planes:
        """All features of some stores that a glob names; each has levels of its own."""
        made = cls(seed=seed)
        there = sorted({feature for store in stores for feature in store.features})
        if not any(fnmatchcase(feature, glob) for feature in there for glob in globs or ["*"]):
            raise BadArgument(
                f"no feature is named by {' '.join(globs)}", f"--feature: {', '.join(there[:8]) or 'none'}"
            )
        for store in stores:
            for feature in store.features:
                if any(fnmatchcase(feature, glob) for glob in globs or ["*"]):
                    made.add(list(_tokens(store, feature, where)))
        if not made.watch:
            raise BadArgument(
                f"{len(made.train)} samples to train on, none to watch by",
                f"give stores of {_HELD_OUT} samples or more",
            )
        return made

    def add(self, samples: Sequence[Tensor]) -> None:
        """Take in one feature's samples, tokens x channels."""
        for number, plane in enumerate(number_planes(samples, fit=_FIT)):
            (self.watch if number % _HELD_OUT == _HELD_OUT - 1 else self.train).append(plane)

    def batch(self, step: int, count: int, crop: tuple[int, int]) -> Tensor:
        """Random crops: which ones follows from the seed and the step alone."""
        draw = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        sizes = torch.tensor([float(plane.numel()) for plane in self.train])
        chosen = torch.multinomial(sizes, count, replacement=True, generator=draw)
        return torch.stack([_crop(self.train[int(number)], crop, draw) for number in chosen])

    def watched(self, count: int, crop: tuple[int, int]) -> Iterator[Tensor]:
        """Batches of crops that are the same every time, one or more of each plane that is held out."""
        draw = torch.Generator().manual_seed(self.seed + 17)
        crops = [_crop(plane, crop, draw) for plane in self.watch]
        for first in range(0, len(crops), count):
            yield torch.stack(crops[first : first + count])


def _tokens(store: lamofc.Store, feature: str, where: str | None) -> Iterator[Tensor]:
    dataset = store.dataset([feature], where=where)
    for number in range(len(dataset)):
        tensor = dataset[number][feature]
        yield to_tokens(tensor, pattern_for(feature, tuple(tensor.shape), {}))


def _crop(plane: Tensor, crop: tuple[int, int], draw: torch.Generator) -> Tensor:
    """A part of a plane, 1 x rows x columns in [0, 1); one that is too small is filled up with its edge."""
    starts = [
        int(torch.randint(max(own - side, 0) + 1, (1,), generator=draw))
        for own, side in zip(plane.shape, crop, strict=True)
    ]
    part = plane[starts[0] : starts[0] + crop[0], starts[1] : starts[1] + crop[1]].to(torch.float32) / 256
    below, right = (side - own for side, own in zip(crop, part.shape, strict=True))
    return F.pad(part[None, None], (0, right, 0, below), mode="replicate")[0]
