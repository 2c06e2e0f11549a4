"""Merge the stored structure of a sample with that of the features being added."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lamofc_store.sample import Sample, merge_structures

if TYPE_CHECKING:
    from lamofc_store.session import Session


def with_stored_structure(session: "Session", samples: Sequence[Sample]) -> Iterator[Sample]:
    """Yield the samples, each with the structure of everything that it was ever stored with."""
    nested = [sample.id for sample in samples if sample.structure is not None]
    query = "SELECT sample, structure FROM samples WHERE structure IS NOT NULL AND sample IN (SELECT unnest(?))"
    stored = dict(session.sql(query, [nested]).fetchall()) if nested else {}
    for sample in samples:
        if sample.structure is not None and sample.id in stored:
            yield replace(sample, structure=merge_structures(stored[sample.id], sample.structure))
        else:
            yield sample
