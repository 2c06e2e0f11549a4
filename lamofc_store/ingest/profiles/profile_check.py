"""Check whether profiles fit what they code, by the first records of each feature."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from lamofc_store.ingest.items import Item

if TYPE_CHECKING:
    from lamofc_codecs import Profile, Record

CHECKED_RECORDS = 16
"""Records of a feature that are compared."""
MAX_RELATIVE_BITS = 1.1
"""Bits relative to coding each channel by itself; above this, the profile was fitted on other features."""
TINY_BYTES = 32
"""Bytes of values up to which a record stored raw says nothing: the sections of any other record take as many."""


class ProfileCheck:
    """Compares the first records of every profile with coding each channel by itself."""

    def __init__(self) -> None:
        self._ratios: dict[tuple[str, str], list[float]] = {}

    def observe(self, items: Sequence[Item], profile: "Profile", record: "Record") -> None:
        """Note how many bits a record of these items took, if it is one of the first."""
        import torch

        from lamofc_codecs import HasBaseline, open_codec, relative_bits

        if sum(item.raw_bytes for item in items) <= TINY_BYTES:
            return
        codec = open_codec(profile)
        if isinstance(codec, HasBaseline) and codec.has_baseline():
            ratios = self._ratios.setdefault((items[0].feature, profile.id), [])
            if len(ratios) < CHECKED_RECORDS and record.elements:
                ratios.append(relative_bits(torch.cat([item.tokens for item in items]), record))

    def warnings(self) -> list[str]:
        """Return a line for each profile that does not fit."""
        return [
            _warning(feature, profile, median(ratios))
            for (feature, profile), ratios in sorted(self._ratios.items())
            if ratios and median(ratios) > MAX_RELATIVE_BITS
        ]


def _warning(feature: str, profile: str, ratio: float) -> str:
    result = f"its records take {ratio:.2g} times the bits of coding each channel by itself"
    if ratio == float("inf"):
        result = "its records are stored raw"
    return f"profile {profile[:12]} does not fit feature {feature!r}: {result}; fit a profile on samples like these"
