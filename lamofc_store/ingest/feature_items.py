"""One feature of one sample on its way in: flattened, fingerprinted."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import xxhash

from lamofc_store.errors import Hint, SourceError
from lamofc_store.ingest.options import IngestOptions
from lamofc_store.sample import Sample, layout

if TYPE_CHECKING:
    import torch

_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Item:
    """A feature of a sample, ready for a codec."""

    sample: str
    feature: str
    shape: tuple[int, ...]
    dtype: str
    """As torch names it, without `torch.`"""
    tokens: "torch.Tensor"
    """Tokens x channels."""
    pattern: str
    grid: str | None
    source_hash: int
    other_hash: int
    """By another function: both together tell equal content from unlike, without a look at it."""

    @property
    def content(self) -> tuple[object, ...]:
        """Equal for equal content of one feature."""
        return self.feature, self.shape, self.dtype, self.pattern, self.source_hash, self.other_hash

    @property
    def is_exact(self) -> bool:
        """Whether there is nothing to round: no real numbers, or none at all."""
        return not self.tokens.is_floating_point() or self.tokens.numel() == 0

    @property
    def raw_bytes(self) -> int:
        """Bytes of the feature as it came."""
        return self.tokens.numel() * self.tokens.element_size()


def items_of(sample: Sample, options: IngestOptions) -> Iterator[Item]:
    """The wanted features of a sample, sorted by name."""
    wanted = sorted(name for name in sample.features if _is_wanted(name, options.features))
    if not wanted:
        globs = f" that fits {', '.join(options.features)}" if options.features else ""
        raise SourceError(
            f"sample {sample.id!r} has no feature{globs}; it has {sorted(sample.features)}",
            Hint("correct [features]; lamofc.plan(source), or a dry run, lists the features"),
        )
    for name in wanted:
        yield _item(sample, name, options)


def _is_wanted(name: str, globs: tuple[str, ...]) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)


def _item(sample: Sample, feature: str, options: IngestOptions) -> Item:
    tensor = sample.features[feature].detach().contiguous()
    shape = tuple(tensor.shape)
    pattern = layout.pattern_for(feature, shape, options.patterns, sample.patterns)
    dtype = str(tensor.dtype).removeprefix("torch.")
    return Item(
        sample.id,
        feature,
        shape,
        dtype,
        layout.to_tokens(tensor, pattern),
        pattern,
        _grid(shape, pattern, _told(feature, options) or sample.grids.get(feature)),
        *_hashes(tensor, dtype),
    )


def _told(feature: str, options: IngestOptions) -> str | None:
    return next((text for glob, text in options.grids.items() if fnmatchcase(feature, glob)), None)


def _grid(shape: tuple[int, ...], pattern: str, given: str | None) -> str | None:
    grid = layout.grid_of(shape, pattern) if given is None else layout.Grid.from_text(given)
    if grid is None:
        return None
    grid.check(layout.tokens_of(shape, pattern))
    return grid.to_json()


def _hashes(tensor: "torch.Tensor", dtype: str) -> tuple[int, int]:
    """64 bits over dtype, shape and bytes, compared only under one key, and 64 other ones over the bytes."""
    import torch

    data = tensor.cpu().reshape(-1).view(torch.uint8).numpy().data
    digest = xxhash.xxh3_64(f"{dtype}{list(tensor.shape)}".encode())
    digest.update(data)
    return digest.intdigest() & _MASK, xxhash.xxh64_intdigest(data)
