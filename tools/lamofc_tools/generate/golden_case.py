"""A golden record: a codec in one of its modes, and the tensors that it codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from lamofc_codecs import Profile, Quality, fit
from lamofc_codecs.testing import feature


@dataclass(frozen=True)
class Case:
    """One golden: a codec in one of its modes, and the tensors that it codes."""

    name: str
    codec: str
    items: tuple[torch.Tensor, ...]
    """Items of one feature; with `together`, features of one sample."""
    quality: Quality | None = None
    options: dict[str, Any] = field(default_factory=dict)
    together: bool = False
    like: tuple[Any, ...] = ()
    """Samples to fit on, if not synthetic features."""
    first_position: int = 0
    """Position of the first token in its sequence."""
    planes: int = 1
    """Planes that share the tokens of the item."""
    promise: Literal["bytes", "values", "numbers"] = "bytes"
    """Part that always stays the same: `bytes` means everything; `values` means the decoded values, since an external
    encoder writes the bytes, or another processor's rounding finds another step; `numbers` means the level indices,
    since floats of another processor may choose a neighbouring level. The profile of the last, megabytes of weights,
    is generated each time, without samples."""

    def element(self) -> list[torch.Tensor] | dict[str, torch.Tensor]:
        """Return the tensors in the form that the codec takes."""
        return {f"part{number}": item for number, item in enumerate(self.items)} if self.together else list(self.items)

    def profile(self) -> Profile:
        """Fit a profile on samples like the items."""
        if self.together:
            samples = list(self.like) or [
                {name: feature(90, item.shape[1], -seed) for name, item in self.element().items()}  # type: ignore[union-attr]
                for seed in (1, 2)
            ]
            return fit(self.codec, samples, self.quality, **self.options)
        if self.promise == "numbers":
            return fit(self.codec, [], self.quality, **self.options)
        channels = self.items[0].shape[1]
        features = [feature(120, channels, -1), feature(60, channels, -2)]
        return fit(self.codec, list(self.like) or features, self.quality, **self.options)
