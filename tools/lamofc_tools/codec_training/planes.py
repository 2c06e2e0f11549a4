"""Features of stores as planes of level indices, which the learned codecs code, and random crops of the planes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
import torch.nn.functional as F
from torch import Tensor

import lamofc_store as lamofc
from lamofc_codecs import number_planes
from lamofc_store.errors import BadArgument, Hint
from lamofc_store.sample import pattern_for, to_tokens

_LEVELS = 256
_LEVEL_FIT_SAMPLES = 10
"""Samples of each feature on which its levels are placed."""
_HELD_OUT_EVERY = 10
"""One sample in ten is held out: it is evaluated and not trained on."""
_SEED_STRIDE = 1_000_003
"""Distance between the crop seeds of consecutive configured seeds, so that their steps share no crops."""
_HELD_OUT_SEED_OFFSET = 17


@dataclass
class Planes:
    """Planes of level indices, tokens x channels, divided into those to train on and those held out."""

    train: list[Tensor] = field(default_factory=list)
    held_out: list[Tensor] = field(default_factory=list)
    seed: int = 0

    @classmethod
    def from_stores(
        cls, stores: Sequence[lamofc.Store], globs: Sequence[str], *, where: str | None = None, seed: int = 0
    ) -> Planes:
        """Read the features that match a glob, or all if there is no glob; each feature gets levels of its own."""
        planes = cls(seed=seed)
        features = sorted({feature for store in stores for feature in store.features})
        if not any(_matches(feature, globs) for feature in features):
            raise BadArgument(
                f"no feature is named by {' '.join(globs)}",
                Hint(f"choose [features] among {', '.join(features[:8]) or 'those of a store that has some'}"),
            )
        for store in stores:
            for feature in store.features:
                if _matches(feature, globs):
                    planes.add(list(_tokens(store, feature, where)))
        if not planes.held_out:
            raise BadArgument(
                f"{len(planes.train)} samples to train on, none held out to evaluate",
                f"give stores of {_HELD_OUT_EVERY} samples or more",
            )
        return planes

    def add(self, samples: Sequence[Tensor]) -> None:
        """Add the samples of one feature, tokens x channels."""
        for number, plane in enumerate(number_planes(samples, fit=_LEVEL_FIT_SAMPLES)):
            held_out = number % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
            (self.held_out if held_out else self.train).append(plane)

    def batch(self, step: int, count: int, crop: tuple[int, int]) -> Tensor:
        """Return random crops of planes to train on; the choice depends on the seed and the step alone."""
        generator = torch.Generator().manual_seed(self.seed * _SEED_STRIDE + step)
        sizes = torch.tensor([float(plane.numel()) for plane in self.train])
        numbers = torch.multinomial(sizes, count, replacement=True, generator=generator)
        return torch.stack([_random_crop(self.train[int(number)], crop, generator) for number in numbers])

    def held_out_batches(self, count: int, crop: tuple[int, int]) -> Iterator[Tensor]:
        """Yield batches of one crop of each held-out plane, the same at every call."""
        generator = torch.Generator().manual_seed(self.seed + _HELD_OUT_SEED_OFFSET)
        crops = [_random_crop(plane, crop, generator) for plane in self.held_out]
        for first in range(0, len(crops), count):
            yield torch.stack(crops[first : first + count])


def _matches(feature: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(feature, glob) for glob in globs or ["*"])


def _tokens(store: lamofc.Store, feature: str, where: str | None) -> Iterator[Tensor]:
    dataset = store.dataset([feature], where=where)
    for number in range(len(dataset)):
        tensor = dataset[number][feature]
        yield to_tokens(tensor, pattern_for(feature, tuple(tensor.shape), {}))


def _random_crop(plane: Tensor, crop: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Cut 1 x rows x columns out of a plane, scaled to [0, 1); a smaller plane is padded by repeating its edge."""
    starts = [
        int(torch.randint(max(size - side, 0) + 1, (1,), generator=generator))
        for size, side in zip(plane.shape, crop, strict=True)
    ]
    part = plane[starts[0] : starts[0] + crop[0], starts[1] : starts[1] + crop[1]].to(torch.float32) / _LEVELS
    below, right = (side - size for size, side in zip(part.shape, crop, strict=True))
    return F.pad(part[None, None], (0, right, 0, below), mode="replicate")[0]
