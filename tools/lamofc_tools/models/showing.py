"""Items that a model is shown, as a source of samples: read again, from all over, or without those that are done."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from lamofc_store import Sample, Store
from lamofc_store.sources import spread_order
from lamofc_tools.models.inputs import Given


@dataclass(frozen=True)
class Showing:
    """What an ingest, and a run of a catalog, ask of it; a model of some kind makes the samples."""

    items: Sequence[Given]

    @property
    def reiterable(self) -> bool:
        """The model is asked again."""
        return True

    def __len__(self) -> int:
        return len(self.items)

    @abstractmethod
    def __iter__(self) -> Iterator[Sample]: ...

    @abstractmethod
    def describe(self) -> str:
        """What runs through what."""

    @property
    @abstractmethod
    def features(self) -> list[str]:
        """Features that every sample has."""

    @property
    def grid(self) -> str | None:
        """Of patches, where all samples have one."""
        return None

    @abstractmethod
    def told(self) -> dict[str, Any]:
        """What a run's config says."""

    def spread(self) -> Self:
        """The same from all over: what a fit looks at."""
        return replace(self, items=[self.items[place] for place in spread_order(len(self.items))])

    def without(self, done: set[str]) -> Self:
        """The same without items that are there already."""
        return replace(self, items=[one for one in self.items if one.id not in done])


def done_in(store: Store, features: Sequence[str]) -> set[str]:
    """Samples that have all of those features."""
    query = "SELECT sample FROM records WHERE feature IN (SELECT unnest(?)) GROUP BY 1 HAVING count(*) = ?"
    return {sample for (sample,) in store.sql(query, [list(features), len(features)]).fetchall()}
