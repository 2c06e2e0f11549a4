"""What every source is, and what all of them share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import gcd
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from lamofc_store.errors import Hint, SourceError, SourceNotFound, StoreError
from lamofc_store.sample import Sample

Value = TypeVar("Value")


class Source(Protocol):
    """An iterable of samples. Opening one lists it; iterating loads one sample at a time."""

    @property
    def reiterable(self) -> bool:
        """False for a generator, which yields its samples once."""

    def __iter__(self) -> Iterator[Sample]:
        """Load the samples, one at a time, in a fixed order."""

    def __len__(self) -> int:
        """How many samples there are; TypeError when that is not known before they are read."""

    def describe(self) -> str:
        """Say in one line what was found and how it is taken."""


@dataclass(frozen=True)
class Unreadable:
    """A sample that could not be loaded, where others can."""

    id: str
    source: str
    """The file that it should have come from."""
    error: StoreError


@runtime_checkable
class Tolerant(Protocol):
    """A source that can go on after a sample that it cannot load."""

    def attempts(self) -> Iterator[Sample | Unreadable]:
        """Like iterating, but what cannot be loaded is told and passed over."""


@runtime_checkable
class Spread(Protocol):
    """A source that can be read in another order."""

    def spread(self) -> Source:
        """The same samples in an order whose every beginning is spread over the whole: what a fit looks at."""


def spread_order(count: int) -> Iterator[int]:
    """All numbers below `count`, neighbours far apart: steps of about the golden section, around and around."""
    step = max(1, round(count * 0.6180339887498949))
    while gcd(step, count) != 1:
        step += 1
    return (place * step % count for place in range(count))


@dataclass(frozen=True)
class Wanted:
    """The features to take: globs over their names, all when there are none."""

    globs: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        return not self.globs or any(fnmatchcase(name, glob) for glob in self.globs)

    def pick(self, tensors: Mapping[str, Value], where: str) -> dict[str, Value]:
        """Those of `tensors` that are wanted; SourceError when there are some but none is wanted."""
        picked = {name: value for name, value in tensors.items() if name in self}
        if tensors and not picked:
            raise SourceNotFound(
                f"{where} has no feature that matches {' '.join(self.globs)}: it has {', '.join(sorted(tensors)[:8])}",
                Hint("correct [features], or leave it out to take all"),
            )
        return picked


ALL = Wanted()


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a foreign reader raises at a bad file into a SourceError that names the file.

    Every exception is caught: what a parser raises at hostile bytes is not written anywhere.
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        said = (str(error).splitlines() or [""])[0][:200]
        raise SourceError(
            f"{path} ({path.stat().st_size if path.exists() else 'no'} bytes) is no readable {kind}:"
            f" {type(error).__name__}: {said}",
            "fetch or write the file again, or leave it out; a file cut short is the usual reason",
        ) from error


def only_once(ids: Sequence[str], files: Sequence[Path]) -> None:
    """SourceError naming both files when two of them have one id."""
    first: dict[str, Path] = {}
    for name, path in zip(ids, files, strict=True):
        other = first.setdefault(name, path)
        if other is not path:
            raise SourceError(
                f"{other} and {path} both make the sample id {name!r}",
                Hint("rename one, or choose one kind with [format]"),
            )
