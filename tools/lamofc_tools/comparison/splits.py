"""Split the samples of a source into those that a comparison fits on and those that it measures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument
from lamofc_store.sample import pattern_for, to_tokens

_TEST_STRIDE = 4
"""Without a column, one sample in this number is measured."""


@dataclass
class SampleSplit:
    """Samples of one feature, tokens x channels."""

    feature: str
    train: list[Tensor] = field(default_factory=list)
    test: list[Tensor] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    """Ids of the samples to measure."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The samples and features of a source to use."""

    format: str = "auto"
    features: tuple[str, ...] = ()
    patterns: dict[str, str] = field(default_factory=dict)
    held_out_by: str | None = None
    """Column that divides the samples: those with a quarter of its values are measured, the others are fitted on."""
    fit_samples: int = 160
    test_samples: int = 40


def split_source(path: str, choice: Choice) -> list[SampleSplit]:
    """Split each feature of a source; no more samples are held in memory than are used."""
    source = lamofc.sources.open(path, choice.format, features=choice.features)
    held_out = held_out_values(source, choice.held_out_by) if choice.held_out_by else None
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
            tensors.append(to_tokens(tensor, pattern_for(name, tuple(tensor.shape), choice.patterns)).clone())
            if is_test:
                split.samples.append(sample.id)
        if splits and all(_is_full(split, choice) for split in splits.values()):
            break
    for split in splits.values():
        if not split.train or not split.test:
            raise BadArgument(
                f"{split.feature}: {len(split.train)} samples to fit on, {len(split.test)} to measure",
                f"give a source of {_TEST_STRIDE} samples or more, or another --held-out-by",
            )
    return list(splits.values())


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
