"""Items: the features of a sample as tokens x channels, with their fingerprints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import xxhash

from lamofc_store.errors import Hint, SourceError
from lamofc_store.ingest.request import IngestOptions
from lamofc_store.sample import Sample, layout

if TYPE_CHECKING:
    import torch

SHORT_INPUT_BYTES = 240
"""Longest input for which XXH3 of 64 bits and the low half of XXH3 of 128 bits differ."""


@dataclass(frozen=True, slots=True)
class Item:
    """One feature of one sample, ready for a codec."""

    sample: str
    feature: str
    shape: tuple[int, ...]
    dtype: str
    """The name of the torch dtype, without `torch.`"""
    tokens: "torch.Tensor"
    """Tokens x channels."""
    pattern: str
    grid: str | None
    source_hash: int
    """64 bits over dtype, shape and bytes, as the catalog stores them; compared under one key only."""
    second_hash: int
    """64 further bits, so that equal content of different samples can be recognised."""
    first_position: int = 0
    """Position of the first token in its sequence."""

    @property
    def key(self) -> tuple[str, str]:
        """Sample and feature: the key of the item's row."""
        return self.sample, self.feature

    @property
    def content(self) -> tuple[object, ...]:
        """Equal for equal content of one feature."""
        described = self.feature, self.shape, self.dtype, self.pattern
        return *described, self.source_hash, self.second_hash, self.first_position

    @property
    def is_exact(self) -> bool:
        """Whether nothing may be rounded: the values are no real numbers, or there are none."""
        return not self.tokens.is_floating_point() or self.tokens.numel() == 0

    @property
    def planes(self) -> int:
        """Number of planes, among which the tokens are divided."""
        return layout.planes_of(self.shape, self.pattern)

    @property
    def raw_bytes(self) -> int:
        """Bytes of the feature as its source gave it."""
        return self.tokens.numel() * self.tokens.element_size()


def items_of(sample: Sample, options: IngestOptions) -> Iterator[Item]:
    """Make items of a sample's features, those that the options select, sorted by name."""
    names = sorted(name for name in sample.features if _is_selected(name, options.features))
    if not names:
        globs = f" that fits {', '.join(options.features)}" if options.features else ""
        raise SourceError(
            f"sample {sample.id!r} has no feature{globs}; it has {sorted(sample.features)}",
            Hint("correct [features]; lamofc.plan(source), or a dry run, lists the features"),
        )
    for name in names:
        yield _item(sample, name, options)


def _is_selected(name: str, globs: Sequence[str]) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)


def _item(sample: Sample, feature: str, options: IngestOptions) -> Item:
    tensor = sample.features[feature].detach()
    if tensor.is_meta:
        raise SourceError(
            f"sample {sample.id!r}, feature {feature!r} is a tensor of the device meta, which holds no values",
            "compute the features on a real device",
        )
    tensor = tensor.contiguous()
    shape = tuple(tensor.shape)
    pattern = options.packing.pattern_of(feature, shape, options.patterns, sample.patterns)
    dtype = str(tensor.dtype).removeprefix("torch.")
    return Item(
        sample.id,
        feature,
        shape,
        dtype,
        layout.to_tokens(tensor, pattern),
        pattern,
        _grid(shape, pattern, _grid_option(feature, options.grids) or sample.grids.get(feature)),
        *hashes(tensor, dtype),
        first_position=sample.first_position(feature),
    )


def _grid_option(feature: str, grids: Mapping[str, str]) -> str | None:
    """Return the grid of the first glob that fits a feature."""
    return next((text for glob, text in grids.items() if fnmatchcase(feature, glob)), None)


def _grid(shape: tuple[int, ...], pattern: str, text: str | None) -> str | None:
    """Return the JSON of a feature's token grid: as written by the user or the source, else as its pattern shows it."""
    grid = layout.grid_of(shape, pattern) if text is None else layout.Grid.from_text(text)
    if grid is None:
        return None
    grid.check(layout.tokens_of(shape, pattern))
    return grid.to_json()


def hashes(tensor: "torch.Tensor", dtype: str) -> tuple[int, int]:
    """Hash dtype, shape and bytes of a contiguous tensor: XXH3 of 64 bits, which is stored, and 64 further bits.

    Beyond 240 bytes the low half of XXH3 of 128 bits is XXH3 of 64 bits, so one pass over a tensor gives both.
    """
    import torch

    header = f"{dtype}{list(tensor.shape)}".encode()
    data = tensor.cpu().reshape(-1).view(torch.uint8).numpy().data
    digest = xxhash.xxh3_128(header)
    digest.update(data)
    high, low = divmod(digest.intdigest(), 1 << 64)
    if len(header) + data.nbytes <= SHORT_INPUT_BYTES:
        low = xxhash.xxh3_64_intdigest(header + bytes(data))
    return low, high
