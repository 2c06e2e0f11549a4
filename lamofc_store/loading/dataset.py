"""A torch Dataset over a store: samples in a fixed order, fetched and decoded many at a time."""

import copy
import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import torch
import xxhash
from torch import Tensor
from torch.utils.data import Dataset

from lamofc_store.commits import Profiles, log
from lamofc_store.defaults import BLOCK_CACHE_BYTES
from lamofc_store.errors import BadArgument, NotFound
from lamofc_store.loading.collate import Ragged, collate_feature, collate_targets
from lamofc_store.loading.dataset_rows import FUNCTION_TARGET, Target, aligned_tables, check_names, target_columns
from lamofc_store.loading.shuffle import EpochOrder, ShuffleMode
from lamofc_store.loading.shuffle_quality import ShuffleQuality, measure_shuffle
from lamofc_store.reading import (
    PLAN_COLUMNS,
    BlockCache,
    FetchedRecords,
    ReadPlan,
    decode_pooled,
    decode_stacked,
    decode_tensors,
    fetch_plan,
    fetch_records,
    layer_selection,
    read_plan,
)
from lamofc_store.storage import Cache

if TYPE_CHECKING:
    from lamofc_codecs import Packed, Pool, Quality
    from lamofc_store.session import Session

Example = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FetchedBatch:
    """The records and targets of some samples, checked and not decoded, which any process may fetch."""

    indices: list[int]
    records: FetchedRecords
    """All samples of the first feature, then all of the next."""
    targets: dict[str, list[Any]]


class FeatureDataset(Dataset[Example]):
    """Samples that have all the features asked for, sorted by id. An item maps feature names to decoded tensors.

    An item also holds the id of its sample as `sample`, and its targets: columns of the samples under their own names,
    or, as `target`, the value that a callable returns for the id. Rows are read when the dataset is made, so it stays
    at that snapshot. It opens no file before an item is read, and may be pickled.
    """

    def __init__(  # noqa: PLR0913 - all but two are keywords
        self,
        store: "Session",
        features: Sequence[str],
        *,
        target: Target | None = None,
        where: str | None = None,
        quality: "Quality | None" = None,
        max_bpfp: float | None = None,
        cache: Cache | None = None,
        block_cache: int = BLOCK_CACHE_BYTES,
    ) -> None:
        quality = layer_selection.read_quality(quality, max_bpfp)
        if not isinstance(cache, Cache | None):
            raise BadArgument(f"cache={cache!r} is no Cache", f"give lamofc_store.Cache({str(cache)!r}, 50 * 2**30)")
        self.features = tuple([features] if isinstance(features, str) else features)
        self.commit = store.head
        check_names(store, self.features, target)
        columns = target_columns(target)
        self.target_function = target if callable(target) else None
        """A callable that returns the target of a sample's id, if one was given."""
        self._storage = store.storage
        self._cache = cache
        self._blocks = BlockCache(block_cache)
        self._profiles = Profiles(store.storage)
        layers = layer_selection.SIZE_COLUMNS if quality is None else layer_selection.layer_columns(quality)
        with log.detect_expiry(store.storage, store.head):
            rows = store.catalog.select(self.features, where=where, columns=columns, fields=(*PLAN_COLUMNS, *layers))
        truncated = layer_selection.truncate_to_quality(rows, quality)
        self._bits = layer_selection.bits_to_read(rows, truncated)
        tables = aligned_tables(truncated, self.features)
        self._plans = [ReadPlan.from_rows(tables[feature]) for feature in self.features]
        first = tables[self.features[0]]
        self._index: dict[str, int] | None = None
        self.samples: list[str] = first["sample"].to_pylist()
        self.targets: dict[str, list[Any]] = {name: first[name].to_pylist() for name in columns}
        self._pools: dict[str, Pool] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        targets = [*self.targets, *([FUNCTION_TARGET] if self.target_function is not None else [])]
        with_targets = f", targets {', '.join(targets)}" if targets else ""
        return (
            f"<{type(self).__name__} of {len(self)} samples, features {', '.join(self.features)}{with_targets},"
            f" commit {self.commit}>"
        )

    def __getitem__(self, index: SupportsIndex) -> Example:
        try:
            position = operator.index(index)
        except TypeError:
            raise BadArgument(
                f"dataset[{index!r}]: an index is one whole number",
                "dataset.__getitems__([0, 1]) reads several, torch.utils.data.Subset(dataset, range(2)) holds them",
            ) from None
        return self.__getitems__([position + len(self) if -len(self) <= position < 0 else position])[0]

    def bpfp(self, features: Sequence[str] | None = None) -> float:
        """Bits per element of those features, or of all, counting only the layers that are read."""
        sums = [self._bits[feature] for feature in features or self.features if feature in self._bits]
        return sum(bits for bits, _ in sums) / max(sum(elements for _, elements in sums), 1)

    def pooled(self, pool: "Pool", features: Sequence[str] | None = None) -> "FeatureDataset":
        """The same dataset with those features, or all, read as pooled float32 vectors.

        On the CPU a codec that is `Poolable`, as `klt` is, decodes the vectors alone, in a fraction of the time.
        """
        unknown = sorted(set(features or ()) - set(self.features))
        if unknown:
            raise NotFound(f"there is no feature {unknown[0]!r} in this dataset", f"it has {', '.join(self.features)}")
        dataset = copy.copy(self)
        dataset._pools = {**self._pools, **dict.fromkeys(self.features if features is None else features, pool)}
        return dataset

    def locate(self, samples: Sequence[str]) -> list[int]:
        """Look up the indices of samples by id."""
        if self._index is None:
            self._index = {sample: index for index, sample in enumerate(self.samples)}
        try:
            return list(map(self._index.__getitem__, samples))
        except KeyError as error:
            raise NotFound(f"there is no sample {error.args[0]!r} in this dataset", "its ids are in .samples") from None

    def packed(self, indices: Sequence[int]) -> "list[Packed]":
        """Fetch the records of some items as they are stored, checked and not decoded: one buffer a feature."""
        with log.detect_expiry(self._storage, self.commit):
            return [fetch_records(self._storage, plan.locations.take(indices), self._cache) for plan in self._plans]

    def __getitems__(self, indices: list[int]) -> list[Example]:
        """Read many items in one fetch and one decode; torch's DataLoader calls this with the indices of a batch."""
        for index in indices:
            if not 0 <= index < len(self):
                raise IndexError(f"item {index} of a dataset of {len(self)}")
        if self._pools:
            batch = self.decode_batch(self.fetch_batch(indices), ragged="list")
            columns = {feature: batch[feature] for feature in self.features}
        else:
            with log.detect_expiry(self._storage, self.commit):
                tensors = read_plan(self._storage, self._profiles, self._plan(indices), self._cache, self._blocks)
            starts = range(0, len(tensors), max(len(indices), 1))
            columns = {
                feature: tensors[start : start + len(indices)]
                for feature, start in zip(self.features, starts, strict=False)
            }
        columns |= self._targets(indices)
        return [
            {"sample": self.samples[index], **{name: values[number] for name, values in columns.items()}}
            for number, index in enumerate(indices)
        ]

    def fetch_batch(self, indices: list[int]) -> FetchedBatch:
        """Fetch the records of a batch: the first half of reading it, which any process may do."""
        with log.detect_expiry(self._storage, self.commit):
            records = fetch_plan(self._storage, self._plan(indices), self._cache)
        return FetchedBatch(indices, records, self._targets(indices))

    def decode_batch(
        self,
        fetched: FetchedBatch,
        *,
        ragged: Ragged = "stack",
        device: "torch.device | str | None" = None,
        dtype: "torch.dtype | None" = None,
    ) -> Example:
        """Decode and collate a fetched batch, each feature in one call."""
        count = len(fetched.indices)
        batch: Example = {"sample": [self.samples[index] for index in fetched.indices]}
        for number, feature in enumerate(self.features):
            plan = self._plans[number].take(fetched.indices)
            records = fetched.records.part(number * count, (number + 1) * count)
            if feature in self._pools:
                vectors = decode_pooled(self._profiles, plan, records, self._pools[feature], device)
                form: Ragged = "list" if ragged == "list" else "stack"  # vectors have one length
                batch[feature] = collate_feature(feature, [vector.to(dtype) for vector in vectors], form)
            elif ragged == "stack" and plan.stackable:
                batch[feature] = decode_stacked(self._profiles, plan, records, device=device, dtype=dtype)
            else:
                tensors = decode_tensors(self._profiles, plan, records, self._blocks, device=device, dtype=dtype)
                batch[feature] = collate_feature(feature, tensors, ragged)
        for name, values in fetched.targets.items():
            targets = collate_targets(values)
            batch[name] = targets.to(device) if isinstance(targets, Tensor) else targets
        return batch

    def epoch_order(self, mode: ShuffleMode | None, seed: int, *, balance: bool, block: int, window: int) -> EpochOrder:
        """The order of the samples in every epoch."""
        rank = classes = None
        if mode == "blocks":
            locations = self._plans[0].locations
            rank = np.empty(len(self), np.int64)
            rank[np.lexsort((locations.offset, locations.segment))] = np.arange(len(self))
        if balance:
            if len(self.targets) != 1:
                raise BadArgument(f"balance with the targets {list(self.targets)}", "dataset(..., target='label')")
            (values,) = self.targets.values()
            labels = {value: number for number, value in enumerate(dict.fromkeys(values))}
            classes = np.array([labels[value] for value in values], np.int64)
        return EpochOrder(len(self), mode, seed, rank, block, window, self._identity, classes)

    def shuffle_quality(self, order: EpochOrder, batch_size: int) -> ShuffleQuality:
        """Measure how well an order mixes the samples, and how many requests its batches take."""
        return measure_shuffle(order, self._plans[0].locations, batch_size)

    @functools.cached_property
    def _identity(self) -> str:
        """A name of the samples and their sequence."""
        digest = xxhash.xxh3_64_hexdigest("\0".join(self.samples).encode("utf-8", "surrogatepass"))
        return f"commit {self.commit}, samples {digest}"

    def _plan(self, indices: Sequence[int]) -> ReadPlan:
        return ReadPlan.concatenate([plan.take(indices) for plan in self._plans])

    def _targets(self, indices: Sequence[int]) -> dict[str, list[Any]]:
        targets = {name: [values[index] for index in indices] for name, values in self.targets.items()}
        if self.target_function is not None:
            targets[FUNCTION_TARGET] = [self.target_function(self.samples[index]) for index in indices]
        return targets
