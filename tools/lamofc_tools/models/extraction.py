"""All items of a folder through a model, as a source of samples that an ingest can read, again and from any place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from lamofc_store import Sample, Store
from lamofc_tools.models.inputs import Given
from lamofc_tools.models.kinds import Kind
from lamofc_tools.models.opened import Opened
from lamofc_tools.models.taking import take

_WINDOW = 64
"""Batches within which texts are sorted by length: those of a batch are of one length, so that none is padded."""


@dataclass(frozen=True)
class Extraction:
    """Samples in the order of their items, or nearly."""

    opened: Opened
    items: Sequence[Given]
    blocks: tuple[int, ...]
    """Counted from zero."""
    caches: bool = True
    batch: int = 8
    reiterable: bool = True

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Sample]:
        for given in self._batches():
            yield from take(self.opened, given, self.blocks, caches=self.caches).samples

    def spread(self) -> Extraction:
        """The same from all over: what a fit looks at."""
        step = max(1, len(self.items) // 64)
        return replace(self, items=[one for start in range(step) for one in self.items[start::step]])

    def describe(self) -> str:
        """What runs through what."""
        return f"{len(self)} items through {self.opened.name}, blocks {', '.join(map(str, self.blocks))} from zero"

    @property
    def features(self) -> list[str]:
        """The names of what comes of an item."""
        if self.opened.kind.sees:
            return [f"layer.{block}" for block in self.blocks]
        kept = ("ssm_state", "conv_state") if self.opened.kind is Kind.MAMBA else ("k_cache", "v_cache")
        of_all = [f"layer.{block}.{name}" for block in range(max(self.blocks) + 1) for name in kept]
        return [f"layer.{block}.output" for block in self.blocks] + of_all * self.caches

    @property
    def grid(self) -> str | None:
        """Of patches, as far as images are made of one size."""
        return self.opened.grid(self.opened.inputs([self.items[0]])) if self.opened.kind.sees and self.items else None

    def told(self) -> dict[str, Any]:
        """What a run's config says."""
        return {
            "model": self.opened.name,
            "model_type": self.opened.config.model_type,
            "blocks_from_zero": list(self.blocks),
            "layers_from_one": [block + 1 for block in self.blocks],
            "features": self.features,
            "dtype": str(next(self.opened.model.parameters()).dtype).removeprefix("torch."),
        }

    def without(self, done: set[str]) -> Extraction:
        """The same without items that are there already."""
        return replace(self, items=[one for one in self.items if one.id not in done])

    def _batches(self) -> Iterator[list[Given]]:
        window = self.batch * _WINDOW
        for start in range(0, len(self.items), window):
            some = list(self.items[start : start + window])
            some.sort(key=self.opened.length)
            for _, several in groupby(some, key=self.opened.length):
                alike = list(several)
                yield from (alike[first : first + self.batch] for first in range(0, len(alike), self.batch))


def done_in(store: Store, features: Sequence[str]) -> set[str]:
    """Samples that have all of those features."""
    query = "SELECT sample FROM records WHERE feature IN (SELECT unnest(?)) GROUP BY 1 HAVING count(*) = ?"
    return {sample for (sample,) in store.sql(query, [list(features), len(features)]).fetchall()}
