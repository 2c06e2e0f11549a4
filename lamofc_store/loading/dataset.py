"""A torch Dataset over a store: order fixed, records fetched and decoded many at a time."""

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import torch
import xxhash
from torch import Tensor
from torch.utils.data import Dataset

from lamofc_store.commits import Profiles, log
from lamofc_store.errors import BadArgument, NotFound
from lamofc_store.loading import collate
from lamofc_store.loading.collate import Ragged
from lamofc_store.loading.shuffle import Order, Shuffle
from lamofc_store.loading.shuffle_quality import ShuffleQuality, mixing
from lamofc_store.reading import (
    COLUMNS,
    ReadPlan,
    decoded,
    fetch,
    fetched,
    layer_selection,
    pooled,
    read,
    stacked,
    together,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_codecs import Packed, Pool, Quality
    from lamofc_store.session import Session
    from lamofc_store.storage import Cache

Example = dict[str, Any]
Target = str | Sequence[str] | Callable[[str], Any]


class DatasetOptions(TypedDict, total=False):
    """How records are read."""

    quality: "Quality | None"
    max_bpfp: float | None
    cache: "Cache | None"


TARGET = "target"
"""Under which name an item holds what a callable gives."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records of some items, checked and not decoded, on their way to where they are decoded."""

    indices: list[int]
    buffer: Tensor
    offsets: Tensor
    which: Tensor
    """The record that each item's feature is in, feature by feature."""
    targets: dict[str, list[Any]]

    def pin_memory(self) -> "Fetched":
        """The same, in memory that a GPU reads by itself; torch's DataLoader calls this."""
        return Fetched(self.indices, self.buffer.pin_memory(), self.offsets, self.which, self.targets)

    def packed(self) -> "Packed":
        """The records."""
        from lamofc_codecs import Packed

        return Packed(self.buffer.numpy(), self.offsets.numpy())


class FeatureDataset(Dataset[Example]):
    """Samples that have all the features asked for, sorted by id; each item maps feature names to decoded tensors.

    An item also holds `sample`, its id, and under their names its targets: columns of the samples, or, as `target`,
    what a callable makes of its id. The rows are read when the dataset is made: it stays at that snapshot, opens
    nothing before a worker asks, and may be pickled.
    """

    def __init__(
        self,
        store: "Session",
        features: Sequence[str],
        *,
        target: Target | None = None,
        where: str | None = None,
        **options: Unpack[DatasetOptions],
    ) -> None:
        quality = layer_selection.on_read(options.get("quality"), options.get("max_bpfp"))
        self.features = tuple([features] if isinstance(features, str) else features)
        self.commit = store.head
        self._made = target if callable(target) else None
        columns = _columns(target)
        _check_names(store, self.features, columns, self._made)
        self._storage = store.storage
        self._cache = options.get("cache")
        self._profiles = Profiles(store.storage)
        with log.detect_expiry(store.storage, store.head):
            fields = (*COLUMNS, *(layer_selection.SIZES if quality is None else layer_selection.COLUMNS))
            rows = store.catalog.select(self.features, where=where, columns=columns, fields=fields)
        whole, rows = rows, layer_selection.shortened(rows, quality)
        self._spent = layer_selection.spent(whole, rows)
        tables = _aligned(rows, self.features)
        self._wanted = [ReadPlan.of(tables[feature]) for feature in self.features]
        first = tables[self.features[0]]
        self._index: dict[str, int] | None = None
        self.samples: list[str] = first["sample"].to_pylist()
        self.targets: dict[str, list[Any]] = {name: first[name].to_pylist() for name in columns}
        self._pools: dict[str, Pool] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Example:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of a dataset of {len(self)}")
        return self.__getitems__([index % len(self)])[0]

    def bpfp(self, features: Sequence[str] | None = None) -> float:
        """Bits of an element of those features, or of all, as much of them as is read."""
        spent = [self._spent[feature] for feature in features or self.features if feature in self._spent]
        return sum(bits for bits, _ in spent) / max(sum(elements for _, elements in spent), 1)

    def pooled(self, pool: "Pool", features: Sequence[str] | None = None) -> "FeatureDataset":
        """The same dataset, but those features, or all, are read as pooled vectors, float32.

        What is coded by `klt` is pooled before its tokens are made, which takes a fraction of the time.
        """
        unknown = sorted(set(features or ()) - set(self.features))
        if unknown:
            raise NotFound(f"there is no feature {unknown[0]!r} in this dataset", f"it has {', '.join(self.features)}")
        found = copy.copy(self)
        found._pools = {**self._pools, **dict.fromkeys(self.features if features is None else features, pool)}
        return found

    def locate(self, samples: Sequence[str]) -> list[int]:
        """The indices of samples by id."""
        if self._index is None:
            self._index = {sample: index for index, sample in enumerate(self.samples)}
        try:
            return list(map(self._index.__getitem__, samples))
        except KeyError as error:
            raise NotFound(f"there is no sample {error.args[0]!r} in this dataset", "its ids are in .samples") from None

    def packed(self, indices: Sequence[int]) -> "list[Packed]":
        """The records of some items as they are stored, checked and not decoded; one buffer a feature."""
        with log.detect_expiry(self._storage, self.commit):
            return [fetch(self._storage, wanted.places.take(indices), self._cache) for wanted in self._wanted]

    def __getitems__(self, indices: list[int]) -> list[Example]:
        """Many items in one fetch and one decode; torch's DataLoader calls this with a batch's indices."""
        if self._pools:
            records = self.fetched(indices)
            found, targets = self.batch(records, ragged="list"), records.targets
            tensors = [tensor for feature in self.features for tensor in found[feature]]
        else:
            with log.detect_expiry(self._storage, self.commit):
                tensors = read(self._storage, self._profiles, self._of(indices), self._cache)
            targets = self._targets(indices)
        count = len(indices)
        examples: list[Example] = []
        for at, index in enumerate(indices):
            example: Example = {"sample": self.samples[index]}
            for number, feature in enumerate(self.features):
                example[feature] = tensors[number * count + at]
            examples.append(example | {name: values[at] for name, values in targets.items()})
        return examples

    def fetched(self, indices: list[int]) -> Fetched:
        """The first half of a batch: records from the storage. Any process may do it."""
        with log.detect_expiry(self._storage, self.commit):
            packed, which = fetched(self._storage, self._of(indices), self._cache)
        buffer, offsets, record = map(torch.from_numpy, (packed.buffer, packed.offsets, which))
        return Fetched(indices, buffer, offsets, record, self._targets(indices))

    def batch(
        self,
        fetched: Fetched,
        *,
        ragged: Ragged = "stack",
        device: "torch.device | str | None" = None,
        dtype: "torch.dtype | None" = None,
    ) -> Example:
        """The second half: everything decoded, in one call a feature, and put together."""
        packed, count = fetched.packed(), len(fetched.indices)
        found: Example = {"sample": [self.samples[index] for index in fetched.indices]}
        for number, feature in enumerate(self.features):
            wanted = self._wanted[number].take(fetched.indices)
            which = fetched.which.numpy()[number * count : (number + 1) * count]
            options = {"device": device, "dtype": dtype}
            if feature in self._pools:
                rows = pooled(self._profiles, wanted, packed, which, self._pools[feature], device)
                found[feature] = collate.formed(feature, [row.to(dtype) for row in rows], _vectors(ragged))
            elif ragged == "stack" and wanted.even:
                found[feature] = stacked(self._profiles, wanted, packed, which, **options)
            else:
                tensors = decoded(self._profiles, wanted, packed, which, **options)
                found[feature] = collate.formed(feature, tensors, ragged)
        for name, values in fetched.targets.items():
            targets = collate.targets(values)
            found[name] = targets.to(device) if isinstance(targets, Tensor) else targets
        return found

    def mixing(self, order: Order, batch_size: int) -> ShuffleQuality:
        """How well an order mixes its samples, and what it costs in requests."""
        return mixing(order, self._wanted[0].places, batch_size)

    def order(self, shuffle: Shuffle | None, seed: int, *, balance: bool, block: int, window: int) -> Order:
        """The order of its samples in every epoch."""
        places = classes = None
        if shuffle == "blocks":
            held = self._wanted[0].places
            places = np.empty(len(self), np.int64)
            places[np.lexsort((held.offset, held.segment))] = np.arange(len(self))
        if balance:
            if len(self.targets) != 1:
                raise BadArgument(f"balance with the targets {list(self.targets)}", "dataset(..., target='label')")
            (values,) = self.targets.values()
            numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
            classes = np.array([numbers[value] for value in values], np.int64)
        return Order(len(self), shuffle, seed, places, block, window, self._identity, classes)

    @functools.cached_property
    def _identity(self) -> str:
        """What names its samples and their sequence."""
        told = xxhash.xxh3_64_hexdigest("\0".join(self.samples).encode("utf-8", "surrogatepass"))
        return f"commit {self.commit}, samples {told}"

    def _of(self, indices: Sequence[int]) -> ReadPlan:
        return together([wanted.take(indices) for wanted in self._wanted])

    def _targets(self, indices: Sequence[int]) -> dict[str, list[Any]]:
        found = {name: [values[index] for index in indices] for name, values in self.targets.items()}
        if self._made is not None:
            found[TARGET] = [self._made(self.samples[index]) for index in indices]
        return found


def _vectors(ragged: Ragged) -> Ragged:
    """The form of vectors of one length, where features are of this form."""
    return "list" if ragged == "list" else "stack"


def _columns(target: Target | None) -> list[str]:
    if target is None or callable(target):
        return []
    return [target] if isinstance(target, str) else list(target)


def _check_names(store: "Session", features: Sequence[str], columns: Sequence[str], made: object) -> None:
    if not features or len(set(features)) < len(features):
        raise BadArgument(
            f"features={list(features)!r} names none or one twice", f"the store has {', '.join(store.features)}"
        )
    unknown = sorted(set(features) - set(store.features))
    if unknown:
        raise NotFound(
            f"there is no feature {unknown[0]!r}; the store has {', '.join(store.features)}",
            f"lamofc info {store.url}",
        )
    keys = [*features, *columns, "sample", *([TARGET] if made else [])]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise BadArgument(f"an item would hold two values named {twice[0]!r}", "name a target otherwise: annotate")


def _aligned(rows: "pa.Table", features: Sequence[str]) -> "dict[str, pa.Table]":
    """One table a feature, all over the same samples in the same order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = {feature: rows.filter(pc.equal(rows["feature"], feature)) for feature in features}
    if len(features) > 1:
        common = tables[features[0]]["sample"]
        for feature in features[1:]:
            common = common.filter(pc.is_in(common, tables[feature]["sample"].combine_chunks()))
        chosen = common.combine_chunks() if isinstance(common, pa.ChunkedArray) else common
        tables = {feature: table.filter(pc.is_in(table["sample"], chosen)) for feature, table in tables.items()}
    return {feature: table.sort_by("sample").combine_chunks() for feature, table in tables.items()}
