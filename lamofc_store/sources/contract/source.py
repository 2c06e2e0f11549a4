"""The protocols of sources: iterables of samples, and what some of them can do beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import gcd
from typing import Protocol, runtime_checkable

from lamofc_store.errors import StoreError
from lamofc_store.sample import Sample

GOLDEN_SECTION = 0.6180339887498949


class Source(Protocol):
    """An iterable of samples. Opening one lists it; iterating loads one sample at a time."""

    @property
    def reiterable(self) -> bool:
        """False for a generator, which yields its samples once."""

    def __iter__(self) -> Iterator[Sample]:
        """Load the samples, one at a time, in a fixed order."""

    def __len__(self) -> int:
        """Return the number of samples; TypeError where it is not known before they are read."""

    def describe(self) -> str:
        """Return one line on what was found and how it is read."""


@dataclass(frozen=True)
class UnreadableSample:
    """A sample that cannot be loaded, while others can."""

    id: str
    source: str
    """The file that it should have come from."""
    error: StoreError


@runtime_checkable
class Tolerant(Protocol):
    """A source that continues after a sample that it cannot load."""

    def attempts(self) -> Iterator[Sample | UnreadableSample]:
        """Iterate like the source itself, with an UnreadableSample in place of each error."""


@runtime_checkable
class Spreadable(Protocol):
    """A source that can be read in another order."""

    def spread(self) -> Source:
        """Return the same samples in an order whose every prefix is spread over the source, as a fit needs it."""


@runtime_checkable
class ListedSource(Protocol):
    """A source that may know its ids without loading samples."""

    def sample_ids(self) -> Iterable[str] | None:
        """Return the ids of the samples; None where only loading the samples would tell them."""


def may_be_read_ahead(source: object) -> bool:
    """Say whether another thread than the caller's may read a source, as its attribute `any_thread` tells of files."""
    return bool(getattr(source, "any_thread", False))


def spread_order(count: int) -> Iterator[int]:
    """Yield all numbers below `count`, neighbours far apart: in steps of about the golden section, modulo `count`."""
    step = max(1, round(count * GOLDEN_SECTION))
    while gcd(step, count) != 1:
        step += 1
    return (place * step % count for place in range(count))
