"""What samples were nested in before, joined with what they are nested in now: a block today, another one tomorrow."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lamofc_store.sample import Sample, merge_structures

if TYPE_CHECKING:
    from lamofc_store.session import Session

    pass


def joined(store: "Session", samples: Sequence[Sample]) -> Iterator[Sample]:
    """The samples, each with the structure of all that it was ever given."""
    nested = [sample.id for sample in samples if sample.structure is not None]
    query = "SELECT sample, structure FROM samples WHERE structure IS NOT NULL AND sample IN (SELECT unnest(?))"
    before = dict(store.sql(query, [nested]).fetchall()) if nested else {}
    for sample in samples:
        if sample.structure is not None and sample.id in before:
            yield replace(sample, structure=merge_structures(before[sample.id], sample.structure))
        else:
            yield sample
