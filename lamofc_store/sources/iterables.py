"""Any Python iterable as samples: lists, generators, mappings, torch and Hugging Face datasets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import replace
from typing import Any, cast

from lamofc_store.errors import SourceError
from lamofc_store.sample import Sample, is_scalar, to_scalar
from lamofc_store.sources.contract import ALL_FEATURES, FeatureFilter
from lamofc_store.sources.readers import sample_of

ID_KEYS = ("sample", "id")
"""The keys of a dict that may hold its id where the user names none."""


class Items:
    """Samples, pairs (id, tensors), dicts, or a mapping from ids to tensors, in their own order."""

    def __init__(self, items: Any, features: FeatureFilter = ALL_FEATURES, id_column: str | None = None) -> None:
        indexed = hasattr(items, "__getitem__") and hasattr(items, "__len__")
        if not indexed and not hasattr(items, "__iter__"):
            raise SourceError(
                f"{type(items).__name__} is no source of samples",
                "give a path, or an iterable of Sample, (id, {name: tensor}) or dicts",
            )
        self._items = items
        self._features = features
        self._id_column = id_column
        self._spent = False

    @property
    def reiterable(self) -> bool:
        """False for an iterator, which can be read once."""
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

    def sample_ids(self) -> Iterable[str] | None:
        """Return the ids of what lies in memory; None for objects that would load their items."""
        if not isinstance(self._items, list | tuple | Mapping):
            return None
        return (self._id(item, number) for number, item in enumerate(_walk(self._items)))

    def describe(self) -> str:
        """Return the kind of the iterable and its length, if it has one."""
        count = len(self) if isinstance(self._items, Sized) else "an unknown number of"
        return f"{count} samples from a {type(self._items).__name__}"

    def _sample(self, item: object, number: int) -> Sample:
        """Make a sample of an item of the iterable."""
        name = self._id(item, number)
        if isinstance(item, Sample):
            picked = self._features.pick(item.features, f"sample {name!r}")
            structure = item.structure if len(picked) == len(item.features) else None
            return replace(item, features=picked, structure=structure)
        if isinstance(item, Mapping):
            id_key = self._id_key(item)
            nested = {key: value for key, value in item.items() if id_key is None or key != id_key}
            return sample_of(name, nested, self._features)
        return sample_of(name, cast("tuple[str, object]", item)[1], self._features)

    def _id(self, item: object, number: int) -> str:
        """Return the id of an item; the number of a dict without one."""
        if isinstance(item, Sample):
            return item.id
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            return item[0]
        if not isinstance(item, Mapping):
            raise SourceError(
                f"item {number} is a {type(item).__name__}, no sample",
                "yield Sample(id, features), (id, {name: tensor}), or dicts of tensors with an 'id'",
            )
        key = self._id_key(item)
        if key is None:
            return f"{number:08d}"
        if key not in item or not is_scalar(item[key]) or isinstance(item[key], float | None):
            raise SourceError(
                f"item {number} has no text or number under {key!r}: it has {', '.join(map(str, item))[:120]}",
                "name the key that holds the id",
            )
        return str(to_scalar(item[key]))

    def _id_key(self, item: Mapping[Any, Any]) -> str | None:
        return self._id_column or next((key for key in ID_KEYS if key in item), None)


def _walk(items: Any) -> Iterator[object]:
    """Yield a mapping's pairs; the items of a dataset without `__iter__` by index, never past its length."""
    if isinstance(items, Mapping):
        yield from items.items()
    elif hasattr(items, "__iter__"):
        yield from items
    else:
        for index in range(len(items)):
            yield items[index]
