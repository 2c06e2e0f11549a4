"""Which samples of a source a comparison fits on, and which it measures: never the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument
from lamofc_store.sample import pattern_for, to_tokens

_EACH = 4
"""Unless a column tells, one sample of so many is measured."""


@dataclass
class Split:
    """One feature's samples, tokens x channels."""

    feature: str
    train: list[Tensor] = field(default_factory=list)
    test: list[Tensor] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    """Ids of those that are measured."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is taken of a source."""

    format: str = "auto"
    features: tuple[str, ...] = ()
    patterns: dict[str, str] = field(default_factory=dict)
    held_out_by: str | None = None
    """A column: a quarter of its values is measured, so that no fit saw any of their kind."""
    fit_samples: int = 160
    test_samples: int = 40


def splits(path: str, choice: Choice) -> list[Split]:
    """Each feature's samples; no more are held than are used."""
    source = lamofc.sources.open(path, choice.format, features=choice.features)
    held_out = held_out_values(source, choice.held_out_by) if choice.held_out_by else None
    found: dict[str, Split] = {}
    for number, sample in enumerate(source):
        if held_out is None:
            measured = number % _EACH == _EACH - 1
        else:
            measured = str(sample.attributes[str(choice.held_out_by)]) in held_out
        for name, tensor in sample.features.items():
            split = found.setdefault(name, Split(name))
            room = len(split.test) < choice.test_samples if measured else len(split.train) < choice.fit_samples
            if not room:
                continue
            tokens = to_tokens(tensor, pattern_for(name, tuple(tensor.shape), choice.patterns)).clone()
            (split.test if measured else split.train).append(tokens)
            if measured:
                split.samples.append(sample.id)
        full = all(
            len(split.test) >= choice.test_samples and len(split.train) >= choice.fit_samples
            for split in found.values()
        )
        if full and found:
            break
    for split in found.values():
        if not split.train or not split.test:
            raise BadArgument(
                f"{split.feature}: {len(split.train)} samples to fit on, {len(split.test)} to measure",
                f"give a source of {_EACH} samples or more, or another --held-out-by",
            )
    return list(found.values())


def held_out_values(samples: Iterable[lamofc.Sample], column: str) -> set[str]:
    """The last quarter of a column's values, as texts."""
    values: set[str] = set()
    for sample in samples:
        if column not in sample.attributes:
            raise BadArgument(
                f"sample {sample.id!r} has no column {column!r} but {sorted(sample.attributes)}",
                "give --held-out-by a column that all samples have",
            )
        values.add(str(sample.attributes[column]))
    return set(sorted(values)[-max(1, len(values) // 4) :])
