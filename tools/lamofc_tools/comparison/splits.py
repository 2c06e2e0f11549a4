"""Split the samples of a source into those that a comparison fits on and those that it measures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument
from lamofc_store.sample import has_planes, planes_of, published_packing, to_tokens

_TEST_STRIDE = 4
"""Without a column, one sample in this number is measured."""


@dataclass
class SampleSplit:
    """Samples of one feature, or of several side by side, tokens x channels."""

    feature: str
    train: list[Tensor] = field(default_factory=list)
    test: list[Tensor] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    """Ids of the samples to measure."""
    planes: list[int] = field(default_factory=list)
    """Planes of each sample to measure; none given for one each."""
    has_planes: bool = False
    """Whether the pattern of the feature counts planes."""
    parts: dict[str, int] = field(default_factory=dict)
    """Width of each of several features, by name."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The samples and features of a source to use."""

    format: str = "auto"
    features: tuple[str, ...] = ()
    patterns: dict[str, str] = field(default_factory=dict)
    as_published: str | None = None
    """A paper whose packing holds where no pattern is given."""
    held_out_by: str | None = None
    """Column that divides the samples: those with a quarter of its values are measured, the others are fitted on."""
    fit_samples: int = 160
    test_samples: int = 40


def split_source(path: str, choice: Choice) -> list[SampleSplit]:
    """Split each feature of a source; no more samples are held in memory than are used."""
    source = lamofc.sources.open(path, choice.format, features=choice.features)
    held_out = held_out_values(source, choice.held_out_by) if choice.held_out_by else None
    packing = published_packing(choice.as_published)
    splits: dict[str, SampleSplit] = {}
    for number, sample in enumerate(source):
        if held_out is None:
            is_test = number % _TEST_STRIDE == _TEST_STRIDE - 1
        else:
            is_test = str(sample.attributes[str(choice.held_out_by)]) in held_out
        for name, tensor in sample.features.items():
            split = splits.setdefault(name, SampleSplit(name))
            limit, tensors = (choice.test_samples, split.test) if is_test else (choice.fit_samples, split.train)
            if len(tensors) >= limit:
                continue
            shape = tuple(tensor.shape)
            pattern = packing.pattern_of(name, shape, choice.patterns, sample.patterns)
            tensors.append(to_tokens(tensor, pattern).clone())
            split.has_planes |= has_planes(pattern)
            if is_test:
                split.samples.append(sample.id)
                split.planes.append(planes_of(shape, pattern))
        if splits and all(_is_full(split, choice) for split in splits.values()):
            break
    for split in splits.values():
        if not split.train or not split.test:
            raise BadArgument(
                f"{split.feature}: {len(split.train)} samples to fit on, {len(split.test)} to measure",
                f"give a source of {_TEST_STRIDE} samples or more, or another --held-out-by",
            )
    return side_by_side(list(splits.values()), packing.groups)


def side_by_side(splits: Sequence[SampleSplit], groups: Sequence[str]) -> list[SampleSplit]:
    """Join the features that each glob names to one, where all have the same samples of as many tokens."""
    joined, single = [], list(splits)
    for glob in groups:
        own = sorted((split for split in single if fnmatchcase(split.feature, glob)), key=lambda split: split.feature)
        layouts = [(split.samples, split.planes, [*map(len, split.train), *map(len, split.test)]) for split in own]
        if len(own) > 1 and layouts.count(layouts[0]) == len(layouts):
            joined.append(_joined(own))
            single = [split for split in single if not any(split is other for other in own)]
    return [*single, *joined]


def _joined(splits: Sequence[SampleSplit]) -> SampleSplit:
    """Join features of the same tokens side by side."""
    return SampleSplit(
        "+".join(split.feature for split in splits),
        [torch.cat(row, 1) for row in zip(*(split.train for split in splits), strict=True)],
        [torch.cat(row, 1) for row in zip(*(split.test for split in splits), strict=True)],
        splits[0].samples,
        splits[0].planes,
        any(split.has_planes for split in splits),
        {split.feature: split.test[0].shape[1] for split in splits},
    )


def _is_full(split: SampleSplit, choice: Choice) -> bool:
    return len(split.test) >= choice.test_samples and len(split.train) >= choice.fit_samples


def held_out_values(samples: Iterable[lamofc.Sample], column: str) -> set[str]:
    """Return the last quarter of a column's values, as texts."""
    values: set[str] = set()
    for sample in samples:
        if column not in sample.attributes:
            raise BadArgument(
                f"sample {sample.id!r} has no column {column!r} but {sorted(sample.attributes)}",
                "give --held-out-by a column that all samples have",
            )
        values.add(str(sample.attributes[column]))
    return set(sorted(values)[-max(1, len(values) // 4) :])
