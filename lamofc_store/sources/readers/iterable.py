"""Any Python iterable as samples: lists, generators, mappings, torch and Hugging Face datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sized
from typing import Any

from lamofc_store.errors import SourceError
from lamofc_store.sample import RESERVED_COLUMNS, Keys, Sample, Scalar, flatten, is_scalar, to_scalar
from lamofc_store.sources.readers.protocols import ALL, Wanted

ID_KEYS = ("sample", "id")
"""The keys of a dict that are taken for the id when none is named."""


class Items:
    """Samples, pairs (id, tensors), dicts, or a mapping from ids to tensors; taken as they come."""

    def __init__(self, items: Any, wanted: Wanted = ALL, id_column: str | None = None) -> None:
        indexed = hasattr(items, "__getitem__") and hasattr(items, "__len__")
        if not indexed and not hasattr(items, "__iter__"):
            raise SourceError(
                f"{type(items).__name__} is no source of samples",
                "give a path, or an iterable of Sample, (id, {name: tensor}) or dicts",
            )
        self._items = items
        self._wanted = wanted
        self._id_column = id_column
        self._spent = False

    @property
    def reiterable(self) -> bool:
        """False for an iterator, which is its own and only pass."""
        return not isinstance(self._items, Iterator)

    def __len__(self) -> int:
        if isinstance(self._items, Sized):
            return len(self._items)
        raise TypeError(f"a {type(self._items).__name__} does not know its length")

    def __iter__(self) -> Iterator[Sample]:
        if self._spent:
            raise SourceError(
                f"the {type(self._items).__name__} of samples was read before and yields nothing twice",
                "give a list, or an object whose __iter__ starts anew",
            )
        self._spent = not self.reiterable
        seen: set[str] = set()
        for number, item in enumerate(_walk(self._items)):
            sample = self._sample(item, number)
            if sample.id in seen:
                raise SourceError(f"item {number} has the id {sample.id!r} of an earlier one", "make the ids unique")
            seen.add(sample.id)
            yield sample

    def describe(self) -> str:
        """The kind of the iterable and its length, where it has one."""
        count = len(self) if isinstance(self._items, Sized) else "an unknown number of"
        return f"{count} samples from a {type(self._items).__name__}"

    def _sample(self, item: object, number: int) -> Sample:
        if isinstance(item, Sample):
            picked = self._wanted.pick(item.features, f"sample {item.id!r}")
            structure = item.structure if len(picked) == len(item.features) else None
            return Sample(item.id, picked, item.attributes, structure, item.patterns)
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            return sample_of(item[0], item[1], self._wanted)
        if not isinstance(item, Mapping):
            raise SourceError(
                f"item {number} is a {type(item).__name__}, no sample",
                "yield Sample(id, features), (id, {name: tensor}), or dicts of tensors with an 'id'",
            )
        named = [self._id_column] if self._id_column else [key for key in ID_KEYS if key in item]
        if not named:
            return sample_of(f"{number:08d}", dict(item), self._wanted)
        if named[0] not in item or not is_scalar(item[named[0]]) or isinstance(item[named[0]], float | None):
            raise SourceError(
                f"item {number} has no text or number under {named[0]!r}: it has {', '.join(map(str, item))[:120]}",
                "name the key that holds the id",
            )
        rest = {key: value for key, value in item.items() if key != named[0]}
        return sample_of(str(to_scalar(item[named[0]])), rest, self._wanted)


def attributes_of(nested: object, prefix: str = "") -> dict[str, Scalar]:
    """Plain values of the outermost dict; those by names that the store has itself, as `my_...`."""
    outermost = nested if isinstance(nested, Mapping) else {}
    plains = {
        f"{prefix}{key}": to_scalar(it) for key, it in outermost.items() if isinstance(key, str) and is_scalar(it)
    }
    return {f"my_{key}" if key in RESERVED_COLUMNS else key: value for key, value in plains.items()}


def sample_of(
    name: str,
    nested: object,
    wanted: Wanted,
    where: str = "",
    *,
    tell: Callable[[Keys], str] = ".".join,
    ordered: bool = False,
) -> Sample:
    """A sample from tensors nested at will; plain values of the outermost dict become attributes as well.

    `tell` names tensors by their paths; `ordered` is as for `structure.flatten`.
    """
    where = where or f"sample {name!r}"
    features, structure = flatten(nested, where, tell, ordered=ordered)
    if not features:
        raise SourceError(f"{where} holds no tensor", "give tensors under names: {'layer.0': tensor}")
    picked = wanted.pick(features, where)
    return Sample(name, picked, attributes_of(nested), structure if len(picked) == len(features) else None)


def _walk(items: Any) -> Iterator[object]:
    """A mapping by its pairs; a dataset that has no `__iter__` by its indices, never past its length."""
    if isinstance(items, Mapping):
        yield from items.items()
    elif hasattr(items, "__iter__"):
        yield from items
    else:
        for index in range(len(items)):
            yield items[index]
