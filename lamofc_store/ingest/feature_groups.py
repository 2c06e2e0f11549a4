"""Features of one sample that are coded together: those that a glob names and that share their tokens."""

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from glob import escape
from itertools import groupby, product

from lamofc_store.ingest.feature_items import Item

_CHOICE = re.compile(r"\{([^{}]*)\}")
AUTO = "auto"
"""In place of globs: groups that are found by what they save."""
MOST = 1 << 14
"""Features of one record."""


def spelled_out(glob: str) -> list[str]:
    """A glob without braces, for each of their choices: `layer.*.{k,v}_cache` is two."""
    pieces = _CHOICE.split(glob)
    choices = [[piece] if number % 2 == 0 else piece.split(",") for number, piece in enumerate(pieces)]
    return ["".join(chosen) for chosen in product(*choices)]


def named(items: Sequence[Item]) -> str:
    """What the profile of items that are coded together goes by: their features' names."""
    return "+".join(item.feature for item in items)


def patterns_of(globs: Sequence[str]) -> list[list[str]]:
    """The globs without braces of each group that is named."""
    return [spelled_out(glob) for glob in globs if glob != AUTO]


def exactly(names: Sequence[str]) -> list[str]:
    """Globs of these names and no others."""
    return [escape(name) for name in names]


def place_of(feature: str, patterns: Sequence[Sequence[str]]) -> int | None:
    """The first group that takes a feature."""
    for place, globs in enumerate(patterns):
        if any(fnmatchcase(feature, glob) for glob in globs):
            return place
    return None


def together(items: Sequence[Item], patterns: Sequence[Sequence[str]]) -> Iterator[list[Item]]:
    """Items of some samples: for each sample those that go into one record, sorted by feature; others by themselves.

    The first group that names a feature takes it. What must not be rounded, or has tokens of its own, is alone.
    """
    bundles: dict[tuple[str, int, int], list[Item]] = {}
    for item in items:
        number = place_of(item.feature, patterns)
        if number is None or item.is_exact:
            yield [item]
        else:
            bundles.setdefault((item.sample, number, len(item.tokens)), []).append(item)
    for bundle in bundles.values():
        ordered = sorted(bundle, key=lambda item: item.feature)
        for first in range(0, len(ordered), MOST):
            yield ordered[first : first + MOST]


def kinds_of(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Items of one feature and one kind together, in the order of the features' names."""
    for _, group in groupby(sorted(items, key=_by_coding), key=_by_coding):
        yield list(group)


def by_name(bundles: Iterable[list[Item]]) -> Iterator[tuple[str, list[list[Item]]]]:
    """Bundles of the same features together."""
    for name, several in groupby(sorted(bundles, key=named), key=named):
        yield name, list(several)


def _by_coding(item: Item) -> tuple[str, bool]:
    return item.feature, item.is_exact
