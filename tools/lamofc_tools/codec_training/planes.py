"""Features of stores as planes of pixels, which the learned codecs code, and random crops of the planes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import lamofc_store as lamofc
from lamofc_codecs import PublishedTraining, published_settings, training_planes
from lamofc_store.errors import BadArgument, Hint
from lamofc_store.sample import planes_of, published_packing, to_tokens

_LEVELS = 256
_HELD_OUT_EVERY = 10
"""One sample in ten is held out: it is evaluated and not trained on."""
_SEED_STRIDE = 1_000_003
"""Distance between the crop seeds of consecutive configured seeds, so that their steps share no crops."""
_HELD_OUT_SEED_OFFSET = 17


@dataclass(frozen=True)
class Plane:
    """A plane of kept pixels, level indices or float32 from 0 to 1."""

    pixels: Tensor
    cut: tuple[int, int] | None = None
    """Rows and columns to cut in place of a crop; column blocks as wide as the crop are then stacked."""

    def crop(self, sides: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Cut a random crop, 1 x rows x columns, from 0 to 1; a smaller plane is padded by repeating its edge."""
        cut = self.cut or sides
        if cut[1] % sides[1] or cut[0] * cut[1] != sides[0] * sides[1]:
            raise BadArgument(
                f"{cut[0]} x {cut[1]} pixels are no blocks for crops of {sides[0]} x {sides[1]}",
                "cut as many pixels as a crop has, in whole blocks of columns",
            )
        starts = [
            int(torch.randint(max(size - side, 0) + 1, (1,), generator=generator))
            for size, side in zip(self.pixels.shape, cut, strict=True)
        ]
        part = self.pixels[starts[0] : starts[0] + cut[0], starts[1] : starts[1] + cut[1]]
        part = part if part.is_floating_point() else part.to(torch.float32) / _LEVELS
        below, right = (side - size for size, side in zip(part.shape, cut, strict=True))
        filled = F.pad(part[None, None], (0, right, 0, below), mode="replicate")[0, 0]
        return torch.cat(filled.split(sides[1], 1))[None]  # type: ignore[no-untyped-call]


@dataclass(frozen=True, kw_only=True)
class PlaneChoice:
    """The features to train on, and how they become planes."""

    features: Sequence[str] = ()
    """Globs over features; none for all."""
    where: str | None = None
    as_published: str | None = None
    """A paper whose packing, levels or ranges hold; otherwise levels are placed, and values get the nearest."""
    restack: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Rows and columns to cut by glob over features, where their blocks are to be stacked to a crop."""

    def cut_of(self, feature: str) -> tuple[int, int] | None:
        """Return the rows and columns to cut of a feature; None for those of the crop."""
        return next((cut for glob, cut in self.restack.items() if fnmatchcase(feature, glob)), None)

    def printed(self, arch: str, features: Iterable[str]) -> PublishedTraining | None:
        """Return the training that the paper prints for these features, those of one task or of several."""
        if self.as_published is None:
            return None
        tasks = {feature.partition(".")[0] for feature in features if _matches(feature, self.features)}
        return published_settings(self.as_published).training_of(arch, tasks.pop() if len(tasks) == 1 else "*")

    def options(self) -> dict[str, Any]:
        """Return the options of the scale."""
        if self.as_published is None:
            return {}
        printed = published_settings(self.as_published).options_of("hyperprior", {})
        return {name: value for name, value in printed.items() if name in ("assign", "truncation")}


@dataclass
class Planes:
    """Planes divided into those to train on and those held out."""

    train: list[Plane] = field(default_factory=list)
    held_out: list[Plane] = field(default_factory=list)
    seed: int = 0

    @classmethod
    def from_stores(cls, stores: Sequence[lamofc.Store], choice: PlaneChoice, seed: int = 0) -> Planes:
        """Read features; each gets levels or a range of its own, and those of a group lie side by side."""
        planes = cls(seed=seed)
        features = sorted({feature for store in stores for feature in store.features})
        if not any(_matches(feature, choice.features) for feature in features):
            raise BadArgument(
                f"no feature is named by {' '.join(choice.features)}",
                Hint(f"choose [features] among {', '.join(features[:8]) or 'those of a store that has some'}"),
            )
        packing = published_packing(choice.as_published)
        for store in stores:
            chosen = [feature for feature in store.features if _matches(feature, choice.features)]
            for names in _planes_of(chosen, packing.groups):
                samples = _StoredSamples(store, names, choice)
                if samples:
                    cut = choice.cut_of(names[0])
                    planes.add(samples, samples.planes, features=names, cut=cut, **choice.options())
        if not planes.held_out:
            raise BadArgument(
                f"{len(planes.train)} samples to train on, none held out to evaluate",
                f"give stores of {_HELD_OUT_EVERY} samples or more",
            )
        return planes

    def add(
        self,
        samples: Sequence[Any],
        counts: Sequence[int] | Mapping[int, int] | None = None,
        *,
        features: Sequence[str] = (),
        cut: tuple[int, int] | None = None,
        **options: Any,
    ) -> None:
        """Add the samples of one feature, tokens x channels, or of a group; `counts` has the planes of each sample."""
        for number, pixels in enumerate(training_planes(samples, features, **options)):
            held_out = number % _HELD_OUT_EVERY == _HELD_OUT_EVERY - 1
            for plane in pixels.chunk(1 if counts is None else counts[number]):
                (self.held_out if held_out else self.train).append(Plane(plane, cut))

    def batch(self, step: int, count: int, crop: tuple[int, int]) -> Tensor:
        """Return random crops of planes to train on; the choice depends on the seed and the step alone."""
        generator = torch.Generator().manual_seed(self.seed * _SEED_STRIDE + step)
        sizes = torch.tensor([float(plane.pixels.numel()) for plane in self.train])
        numbers = torch.multinomial(sizes, count, replacement=True, generator=generator)
        return torch.stack([self.train[int(number)].crop(crop, generator) for number in numbers])

    def held_out_batches(self, count: int, crop: tuple[int, int]) -> Iterator[Tensor]:
        """Yield batches of one crop of each held-out plane, the same at every call."""
        generator = torch.Generator().manual_seed(self.seed + _HELD_OUT_SEED_OFFSET)
        crops = [plane.crop(crop, generator) for plane in self.held_out]
        for first in range(0, len(crops), count):
            yield torch.stack(crops[first : first + count])


def _matches(feature: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(feature, glob) for glob in globs or ["*"])


def _planes_of(features: Sequence[str], groups: Sequence[str]) -> Iterator[list[str]]:
    """Yield the features of each plane, sorted: those that a glob names together, all others alone."""
    left = sorted(features)
    for glob in groups:
        if together := [feature for feature in left if fnmatchcase(feature, glob)]:
            yield together
        left = [feature for feature in left if feature not in together]
    yield from ([feature] for feature in left)


class _StoredSamples(Sequence[Any]):
    """Samples of a store, tokens x channels or mappings of several features, each read when it is asked for."""

    def __init__(self, store: lamofc.Store, names: Sequence[str], choice: PlaneChoice) -> None:
        self.planes: dict[int, int] = {}
        """Number of planes of each sample that was read."""
        self._names, self._packing = names, published_packing(choice.as_published)
        self._dataset = store.dataset(list(names), where=choice.where)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, number: Any) -> Any:
        example = self._dataset[number]
        shapes = {name: tuple(example[name].shape) for name in self._names}
        patterns = {name: self._packing.pattern_of(name, shape, {}, {}) for name, shape in shapes.items()}
        tokens = {name: to_tokens(example[name], patterns[name]) for name in self._names}
        first = self._names[0]
        self.planes[number] = planes_of(shapes[first], patterns[first])
        return tokens if len(self._names) > 1 else tokens[first]
