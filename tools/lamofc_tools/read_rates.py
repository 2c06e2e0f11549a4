"""Rates at which stores are read: those that differ, and their names."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from lamofc_store import Quality

Read = TypeVar("Read")
WHOLE = "whole"
"""Name of the rate of everything that is stored."""


def distinct_reads(
    read: Callable[[Quality | None], Read], bits: Callable[[Read], float], qualities: Sequence[Quality]
) -> list[tuple[Quality | None, Read]]:
    """Return the qualities that read different numbers of bits, with what each reads; None, which reads all, first."""
    reads: dict[float, tuple[Quality | None, Read]] = {}
    for quality in (None, *qualities):
        found = read(quality)
        reads.setdefault(bits(found), (quality, found))
    return list(reads.values())


def rate_name(quality: Quality | None) -> str:
    """Name a quality on read: `whole`, or for example `snr_db=10`."""
    return WHOLE if quality is None else f"{quality.kind}={quality.value:g}"
