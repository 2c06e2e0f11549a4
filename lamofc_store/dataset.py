"""A torch Dataset over a store: order fixed, records fetched and decoded many at a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch.utils.data import Dataset

from lamofc_store import log, rates
from lamofc_store.errors import BadArgument, NotFound
from lamofc_store.fetch import fetch
from lamofc_store.profiles import Profiles
from lamofc_store.reading import COLUMNS, Wanted, read, together

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_codecs import Packed, Quality
    from lamofc_store.store import Store

Example = dict[str, Any]


class FeatureDataset(Dataset[Example]):
    """Samples that have all the features asked for, sorted by id; each item maps feature names to decoded tensors.

    An item also holds `sample`, its id, and the target's value under the target's name. The rows are read when the
    dataset is made: it stays at that snapshot, opens nothing before a worker asks, and may be pickled.
    """

    def __init__(
        self,
        store: "Store",
        features: Sequence[str],
        *,
        target: str | None = None,
        where: str | None = None,
        quality: "Quality | None" = None,
    ) -> None:
        self.features = tuple([features] if isinstance(features, str) else features)
        self.target = target
        self.commit = store.head
        if not self.features or len(set(self.features)) < len(self.features):
            raise BadArgument(
                f"features={list(features)!r} names none or one twice", f"the store has {', '.join(store.features)}"
            )
        unknown = sorted(set(self.features) - set(store.features))
        if unknown:
            raise NotFound(
                f"there is no feature {unknown[0]!r}; the store has {', '.join(store.features)}",
                f"lamofc info {store.url}",
            )
        self._storage = store.storage
        self._profiles = Profiles(store.storage)
        with log.while_kept(store.storage, store.head):
            fields = COLUMNS if quality is None else (*COLUMNS, *rates.COLUMNS)
            rows = store.catalog.select(self.features, where=where, columns=[target] if target else [], fields=fields)
        rows = rates.shortened(rows, quality)
        tables = _aligned(rows, self.features)
        self._wanted = [Wanted.of(tables[feature]) for feature in self.features]
        first = tables[self.features[0]]
        self._index: dict[str, int] | None = None
        self.samples: list[str] = first["sample"].to_pylist()
        self.targets: list[Any] | None = first[target].to_pylist() if target else None

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Example:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of a dataset of {len(self)}")
        return self.__getitems__([index % len(self)])[0]

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
        with log.while_kept(self._storage, self.commit):
            return [fetch(self._storage, wanted.places.take(indices)) for wanted in self._wanted]

    def __getitems__(self, indices: list[int]) -> list[Example]:
        """Many items in one fetch and one decode; torch's DataLoader calls this with a batch's indices."""
        with log.while_kept(self._storage, self.commit):
            tensors = read(self._storage, self._profiles, together([wanted.take(indices) for wanted in self._wanted]))
        count = len(indices)
        examples: list[Example] = []
        for at, index in enumerate(indices):
            example: Example = {"sample": self.samples[index]}
            for number, feature in enumerate(self.features):
                example[feature] = tensors[number * count + at]
            if self.targets is not None:
                example[str(self.target)] = self.targets[index]
            examples.append(example)
        return examples


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
