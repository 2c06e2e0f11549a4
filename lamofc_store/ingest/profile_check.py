"""Whether profiles fit what they code: the first records of each are looked at, and what does not fit is told."""

from collections.abc import Sequence
from statistics import median

from lamofc_store.ingest.feature_items import Item
from lamofc_store.ingest.segment_rows import Coded

_LOOKED_AT = 16
_MOST = 1.1
"""Bits against coding each channel by itself; above this, a profile is one of other features."""


class ProfileCheck:
    """What an ingest sees of its profiles."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[float]] = {}

    def look(self, items: Sequence[Item], coded: Coded) -> None:
        """Note how well a record came out, if it is one of the first."""
        import torch

        from lamofc_codecs import HasBaseline, open_codec, relative_bits

        codec = open_codec(coded.profile)
        if isinstance(codec, HasBaseline) and codec.has_baseline():
            seen = self._seen.setdefault((items[0].feature, coded.profile.id), [])
            if len(seen) < _LOOKED_AT and coded.record.elements:
                seen.append(relative_bits(torch.cat([item.tokens for item in items]), coded.record))

    def warnings(self) -> list[str]:
        """A line for each profile that does not fit."""
        return [
            _warning(feature, profile, median(seen))
            for (feature, profile), seen in sorted(self._seen.items())
            if seen and median(seen) > _MOST
        ]


def _warning(feature: str, profile: str, ratio: float) -> str:
    what = f"its records take {ratio:.2g} times the bits of coding each channel by itself"
    if ratio == float("inf"):
        what = "its records are stored raw"
    return f"profile {profile[:12]} does not fit feature {feature!r}: {what}; fit a profile on samples like these"
