"""What a user may choose of `klt`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.klt.transform import MAX_TYPICAL_TOKENS

_BOUNDS = {
    "means": (0, MAX_TYPICAL_TOKENS),
    "components": (1, 1 << 16),
    "ranges": (1, 1 << 10),
    "levels": (1, 7),
    "layer_bytes": (32, 1 << 30),
    "shared_by": (1, 1 << 40),
}


@dataclass(frozen=True)
class KltOptions:
    """Options of `fit("klt", ...)`."""

    transform: Literal["klt", "none"] = "klt"
    """Whether channels are decorrelated; "none" codes each channel by itself."""
    means: int | None = None
    """Size of the codebook of token means, 0 for none; without it, as many as pay on samples held out."""
    components: int | None = None
    """Most columns to keep; without it, all that stand out of the step or may at a finer one."""
    ranges: int = 1
    """Ranges of neighbouring channels that are decorrelated each by itself: of thousands of channels this takes more
    bits, and less time to fit, to encode and to decode."""
    waves: bool | None = None
    """Whether tokens are turned into waves along a sequence or an image; without it, where that pays on samples held
    out."""
    levels: int = 3
    """Most levels of a record: copies of lower rates, 9.5 dB apart, each cut into layers for rates in between."""
    layer_bytes: int = 1024
    """What each layer within a level takes at least; records of fewer than four times as many elements have one."""
    shared_by: int = 10_000
    """How many samples the profile's bytes are spread over when the fit weighs what pays."""
    weight: str | None = None
    """Of what errors count for, a weight for each channel or a matrix of rows of them: `fit` takes a tensor, a profile
    bears its digest. Qualities then speak of weighted errors, which count for 1 on average over all directions."""
    weight_floor: float = 0.03
    """What an error of any direction counts for at the least, where there is a weight."""
    nonfinite: Literal["raise", "exact"] = "raise"
    """What becomes of NaN and infinities: refused, or stored as they are."""

    def __post_init__(self) -> None:
        if self.transform not in ("klt", "none") or self.nonfinite not in ("raise", "exact"):
            raise UnsupportedInput(
                f"transform={self.transform!r}, nonfinite={self.nonfinite!r}",
                'transform is "klt" or "none", nonfinite is "raise" or "exact"',
            )
        if self.waves not in (None, True, False):
            raise UnsupportedInput(f"waves={self.waves!r}", "give True or False, or leave it out")
        floor = self.weight_floor
        if isinstance(floor, bool) or not isinstance(floor, (int, float)) or not 1e-4 <= floor <= 1:
            raise UnsupportedInput(f"weight_floor={floor!r}", "give a number from 0.0001 to 1")
        if self.weight is not None and not isinstance(self.weight, str):
            raise UnsupportedInput(f"weight={self.weight!r}", "give a tensor")
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is None and name in ("means", "components"):
                continue
            if type(value) is not int or not least <= value <= most:
                raise UnsupportedInput(f"{name}={value!r}", f"give a whole number from {least} to {most}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> KltOptions:
        """Make from keywords."""
        return cls(**options)

    def to_json(self) -> dict[str, Any]:
        """Return what a profile's config holds."""
        unsaid = {"weight", "weight_floor"} if self.weight is None else set()
        unsaid |= {"ranges"} if self.ranges == 1 else set()
        return {name: value for name, value in asdict(self).items() if name not in unsaid}
