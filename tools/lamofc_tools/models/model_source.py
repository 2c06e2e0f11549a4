"""Items that a model is shown, as a source of samples: read again, from all over, or without those that are done."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from lamofc_store import Sample, Store, add_run
from lamofc_store.errors import Conflict, StoreError
from lamofc_store.sources import UnreadableSample, spread_order
from lamofc_tools.models.inputs import Given

KIND = "extract"
"""Of runs."""
_LOOKED_AT = 1024
"""Values of a tensor that go into a digest, from all over it."""
_ALIKE = ("weights", "processor", "dtype", "steps", "seed")
"""What a run tells, and the same features have alike."""


@dataclass(frozen=True)
class ModelSource:
    """What an ingest, and a run of a catalog, ask of it; a model of some kind makes the samples."""

    items: Sequence[Given]

    @property
    def reiterable(self) -> bool:
        """The model is asked again."""
        return True

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Sample]:
        return (sample for given in self.batches() for sample in self.samples(given))

    def attempts(self) -> Iterator[Sample | UnreadableSample]:
        """Like iterating, but an item that the model cannot be shown is told and passed over."""
        return (found for given in self.batches() for found in self._attempts(given))

    def _attempts(self, given: Sequence[Given]) -> Iterator[Sample | UnreadableSample]:
        try:
            yield from self.samples(given)
        except StoreError as error:
            if len(given) == 1:
                yield UnreadableSample(given[0].id, str(given[0].path), error)
                return
            for one in given:
                yield from self._attempts([one])

    def batches(self) -> Iterator[list[Given]]:
        """Items that are shown at once."""
        return ([one] for one in self.items)

    @abstractmethod
    def samples(self, given: Sequence[Given]) -> Sequence[Sample]:
        """What comes of a batch; SourceError when it cannot be shown."""

    @abstractmethod
    def describe(self) -> str:
        """What runs through what."""

    @property
    @abstractmethod
    def features(self) -> list[str]:
        """Features that every sample has."""

    @abstractmethod
    def told(self) -> dict[str, Any]:
        """What a run's config says: `model`, and `features`, and what these depend on."""

    def attributes(self, given: Given) -> dict[str, Any]:
        """Columns of an item."""
        return given.attributes

    def spread(self) -> Self:
        """The same from all over: what a fit looks at."""
        return replace(self, items=[self.items[place] for place in spread_order(len(self.items))])

    def without(self, done: set[str]) -> Self:
        """The same without items that are there already."""
        return replace(self, items=[one for one in self.items if one.id not in done])


def done_in(store: Store, features: Sequence[str], quality: str) -> set[str]:
    """Samples that have all of those features, as good as that."""
    query = (
        "SELECT sample FROM records WHERE feature IN (SELECT unnest(?)) AND (quality = ? OR elements = 0)"
        " GROUP BY 1 HAVING count(*) = ?"
    )
    return {sample for (sample,) in store.sql(query, [list(features), quality, len(features)]).fetchall()}


def record(store: Store, showing: ModelSource) -> None:
    """Say in the catalog, once, of what model the features are; Conflict where those of their names are of another."""
    told = json.loads(json.dumps(showing.told()))
    runs = [json.loads(text) for (text,) in store.sql("SELECT config FROM runs WHERE kind = ?", [KIND]).fetchall()]
    known = [run for run in runs if isinstance(run.get("features"), list)]
    for before in known:
        shared = sorted(set(before["features"]) & set(told["features"]))
        unlike = [name for name in _ALIKE if before.get(name) != told.get(name)]
        if shared and unlike:
            raise Conflict(
                f"{shared[0]!r} in {store.url} is of {before.get('model')}: its {unlike[0]} is"
                f" {before.get(unlike[0])}, here it is {told.get(unlike[0])}",
                'another store, or what that run was given: lamofc sql STORE "SELECT config FROM runs"',
            )
    strange = sorted(set(told["features"]) & set(store.features) - {one for run in known for one in run["features"]})
    if strange:
        raise Conflict(f"{strange[0]!r} is in {store.url} already, and of no extraction", "another store")
    if told not in known:
        add_run(store, KIND, Path(told["model"]).name, told, [])


def weights_of(modules: Iterable[nn.Module]) -> str:
    """A digest of names, shapes and some values of all weights: another one for another model."""
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in module.state_dict().items():
            digest.update(f"{name} {list(tensor.shape)} {tensor.dtype}".encode())
            some = tensor.flatten()[:: max(1, tensor.numel() // _LOOKED_AT)]
            digest.update(some.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
