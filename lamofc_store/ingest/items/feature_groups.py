"""Groups: features of one sample that share a record, chosen by globs over their names."""

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from glob import escape
from itertools import groupby, product

from lamofc_store.ingest.items.feature_items import Item

AUTO = "auto"
"""Stands in place of globs for groups that a fit finds."""
MAX_GROUP_FEATURES = 1 << 14
"""Features of one record; a larger group is cut."""
_BRACES = re.compile(r"\{([^{}]*)\}")


def expand_braces(glob: str) -> list[str]:
    """Return a glob once for each choice of its braces: `layer.*.{k,v}_cache` gives two globs."""
    pieces = _BRACES.split(glob)
    choices = [[piece] if number % 2 == 0 else piece.split(",") for number, piece in enumerate(pieces)]
    return ["".join(choice) for choice in product(*choices)]


def group_name(items: Sequence[Item]) -> str:
    """Return the name under which the profile of a group is stored: its features' names, joined."""
    return "+".join(item.feature for item in items)


def globs_of_groups(groups: Sequence[str]) -> list[list[str]]:
    """Return the globs, without braces, of each group that the user names."""
    return [expand_braces(glob) for glob in groups if glob != AUTO]


def globs_of_names(names: Sequence[str]) -> list[str]:
    """Return globs that fit these names and no others."""
    return [escape(name) for name in names]


def group_index(feature: str, groups: Sequence[Sequence[str]]) -> int | None:
    """Return the index of the first group whose globs fit a feature."""
    return next((at for at, globs in enumerate(groups) if any(fnmatchcase(feature, glob) for glob in globs)), None)


def group_items(items: Sequence[Item], groups: Sequence[Sequence[str]]) -> Iterator[list[Item]]:
    """Yield lists of items that share a record: the groups of each sample, sorted by feature, and single items.

    The first group whose globs fit a feature takes it. An item is single where nothing may be rounded, and where no
    other item of its group has as many tokens from the same position on, in as many planes.
    """
    grouped: dict[tuple[str, int, int, int, int], list[Item]] = {}
    for item in items:
        index = group_index(item.feature, groups)
        if index is None or item.is_exact:
            yield [item]
        else:
            tokens = len(item.tokens), item.first_position, item.planes
            grouped.setdefault((item.sample, index, *tokens), []).append(item)
    for group in grouped.values():
        ordered = sorted(group, key=lambda item: item.feature)
        for first in range(0, len(ordered), MAX_GROUP_FEATURES):
            yield ordered[first : first + MAX_GROUP_FEATURES]


def by_feature(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the items of one feature that are coded alike, in the order of the features' names."""

    def coding(item: Item) -> tuple[str, bool]:
        return item.feature, item.is_exact

    for _, alike in groupby(sorted(items, key=coding), key=coding):
        yield list(alike)


def by_group_name(groups: Iterable[list[Item]]) -> Iterator[tuple[str, list[list[Item]]]]:
    """Yield groups of the same features together, with their name."""
    for name, alike in groupby(sorted(groups, key=group_name), key=group_name):
        yield name, list(alike)
