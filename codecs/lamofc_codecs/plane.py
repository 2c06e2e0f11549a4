"""Planes of several features: the features of a group side by side, each with columns and a range of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
from torch import Tensor

from lamofc_codecs.errors import CodecError, CorruptRecord, UnsupportedInput
from lamofc_codecs.published import published_ranges
from lamofc_codecs.runtime import Floats
from lamofc_codecs.stats import Bulk

Range = tuple[float, float]
_RANGE_HINT = "give two rising numbers, or such a pair for each feature of a group; or truncation: a task"


@dataclass(frozen=True)
class PlaneParts:
    """The features of a plane, from left to right, with their widths; none if it holds a single feature."""

    parts: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> PlaneParts:
        """Read the parts of a profile's config, or refuse those that no codec wrote."""
        listed = config.get("parts", [])
        pairs = isinstance(listed, list) and all(isinstance(part, list) and len(part) == 2 for part in listed)
        if not pairs or not all(isinstance(name, str) and type(width) is int and width >= 0 for name, width in listed):
            raise CodecError(f"parts {listed!r:.80}", "fit the profile again")
        return cls(tuple((name, width) for name, width in listed))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(name for name, _ in self.parts)

    @property
    def count(self) -> int:
        """Number of features."""
        return len(self.parts) or 1

    def to_json(self) -> dict[str, Any]:
        """Return the parts as a profile's config holds them; nothing for a single feature."""
        return {"parts": [list(part) for part in self.parts]} if self.parts else {}

    def columns(self, width: int) -> Iterator[slice]:
        """Yield the columns of each feature in a plane of this width."""
        ends = accumulate((width for _, width in self.parts), initial=0) if self.parts else (0, width)
        return (slice(first, last) for first, last in pairwise(ends))

    def bulks(self, bulk: Bulk | None) -> list[Bulk | None]:
        """Divide the bulk of all channels among the features."""
        if bulk is None:
            return [None] * self.count
        return [bulk.of_channels(part.start, part.stop) for part in self.columns(len(bulk.mean))]

    def check_widths(self, channels: Sequence[int]) -> None:
        """Refuse a record whose parts are not those of the profile."""
        if self.parts and list(channels) != [width for _, width in self.parts]:
            raise CorruptRecord(f"parts of {list(channels)} channels, the profile has {dict(self.parts)}")


def separate(samples: Iterable[Any]) -> tuple[PlaneParts, list[Iterable[Tensor]]]:
    """Return the features of samples to fit on, sorted, and the tensors of each; of plain tensors, no features."""
    remaining = iter(samples)
    first = next(remaining, None)
    if not isinstance(first, Mapping):
        return PlaneParts(), [chain([] if first is None else [first], remaining)]
    listed, names = [first, *remaining], sorted(first)
    for sample in listed:
        if not isinstance(sample, Mapping) or sorted(sample) != names:
            raise UnsupportedInput(f"samples to fit of unlike features, {names} and others", "give each the same")
    return PlaneParts(tuple((name, first[name].shape[1]) for name in names)), [
        [sample[name] for sample in listed] for name in names
    ]


def side_by_side(bulks: Sequence[Bulk]) -> Bulk:
    """Join the bulks of features."""
    joined = ([getattr(bulk, name) for bulk in bulks] for name in ("mean", "low", "high"))
    return Bulk(*(np.concatenate(arrays) for arrays in joined))


def for_each(value: Any, count: int) -> list[Any]:
    """Return an option of each of several features: one value for all, or a list of one for each."""
    nested = isinstance(value, list | tuple) and bool(value) and all(isinstance(one, list | tuple) for one in value)
    if nested and len(value) != count:
        raise UnsupportedInput(f"{len(value)} ranges or lists of levels for {count} features", "give one for each")
    return list(value) if nested else [value] * count


def ranges_for(given: Any, truncation: str | None, features: Sequence[str]) -> Any:
    """Return the range that options set, or those of a truncation for these features; None where there is neither."""
    if truncation is None:
        return given
    if given is not None:
        raise UnsupportedInput(f"range={given!r} beside a truncation", "give one of the two")
    ranges = published_ranges(truncation, sorted(features))
    return ranges[0] if len(ranges) == 1 else ranges


def checked_ranges(given: Any, count: int) -> list[Range]:
    """Return the range of each feature, or refuse what is none."""
    ranges = for_each(given, count)
    for ends in ranges:
        pair = isinstance(ends, list | tuple) and len(ends) == 2 and all(type(end) in (int, float) for end in ends)
        if not pair or not all(map(math.isfinite, ends)) or not ends[0] < ends[1]:
            raise UnsupportedInput(f"range={given!r:.80}", _RANGE_HINT)
    return [(float(low), float(high)) for low, high in ranges]


def range_to_json(given: Any) -> dict[str, Any]:
    """Return an option `range` as a profile's config holds it: two numbers, or such a pair for each feature of a group.

    Equal pairs are told once, and an option that is not set is left out.
    """
    if given is None:
        return {}
    nested = bool(given) and isinstance(given, list | tuple) and isinstance(given[0], list | tuple)
    ranges = checked_ranges(given, len(given) if nested else 1)
    return {"range": list(ranges[0]) if len(set(ranges)) == 1 else [list(ends) for ends in ranges]}


def columns_of(values: Floats, parts: PlaneParts) -> list[Floats]:
    """Divide the values of a plane among its features."""
    return [np.ascontiguousarray(values[:, part]) for part in parts.columns(values.shape[1])]
