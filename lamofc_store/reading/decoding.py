"""Fetched records to tensors: decoded together by their codecs, then each restored to its own shape."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import CorruptStore
from lamofc_store.reading.block_cache import BlockCache, BlockName
from lamofc_store.reading.fetching import FetchedRecords
from lamofc_store.reading.read_plan import Cell, ReadPlan
from lamofc_store.sample import layout

if TYPE_CHECKING:
    import torch

    from lamofc_codecs import Packed, Pool, Profile

_Decode = Callable[..., "list[torch.Tensor]"]
_DecodeBlocks = Callable[[Sequence[int]], "list[list[torch.Tensor]]"]
"""Returns all items of some of the fetched records."""


def decode_tensors(
    profiles: Mapping[str, "Profile"],
    plan: ReadPlan,
    records: FetchedRecords,
    blocks: BlockCache | None = None,
    **options: Any,
) -> list["torch.Tensor"]:
    """Decode the tensors of a plan; the options `device` and `dtype` are those of `lamofc_codecs.decode`.

    Records of several items are taken from `blocks` and kept there, but for those that are decoded on a device.
    """
    from lamofc_codecs import decode

    with _codec_errors_as_damage(plan):
        decode_with = partial(decode, profiles=_profiles_of(plan, profiles), **options)
        decode_blocks: _DecodeBlocks
        if blocks is None or options.get("device") is not None:
            decode_blocks = partial(_decode_blocks, decode_with, records.packed)
        else:
            decode_blocks = _CachedBlocks(decode_with, plan, records, options.get("dtype"), blocks)
        matrices = _decode_cells(decode_with, records, [spec.cell for spec in plan.specs], decode_blocks)
    pairs = zip(matrices, plan.specs, strict=True)
    return [layout.from_tokens(matrix, spec.pattern, spec.shape) for matrix, spec in pairs]


def decode_stacked(
    profiles: Mapping[str, "Profile"], plan: ReadPlan, records: FetchedRecords, **options: Any
) -> "torch.Tensor":
    """Decode the tensors of a stackable plan straight into one tensor, along a new first axis."""
    import torch

    from lamofc_codecs import decode

    spec, device, count = plan.specs[0], options.pop("device", None), len(records.record)
    dtype = options.pop("dtype", None) or getattr(torch, spec.dtype)
    tokens, channels = layout.tokens_of(spec.shape, spec.pattern), layout.channels_of(spec.shape, spec.pattern)
    matrices = torch.empty(count, tokens, channels, dtype=dtype, device=device)
    selected = records.packed.take(records.record)
    with _codec_errors_as_damage(plan):
        decode(selected, _profiles_of(plan, profiles), parts=[0], items=[0], out=list(matrices), **options)
    first = layout.from_tokens(matrices[0], spec.pattern, spec.shape)
    if first.is_contiguous() and first.data_ptr() == matrices.data_ptr():
        return matrices.view(count, *spec.shape)
    return torch.stack([layout.from_tokens(matrix, spec.pattern, spec.shape) for matrix in matrices])


def decode_pooled(
    profiles: Mapping[str, "Profile"],
    plan: ReadPlan,
    records: FetchedRecords,
    pool: "Pool",
    device: "torch.device | str | None" = None,
) -> list["torch.Tensor"]:
    """Pool each tensor of a plan to one float32 vector. Its tokens are all axes but the last."""
    from lamofc_codecs import decode_pooled as pool_records

    if not all(layout.in_order(spec.shape, spec.pattern) for spec in set(plan.specs)):
        tensors = decode_tensors(profiles, plan, records, device=device)
        return [pool.of(tensor.reshape(-1, tensor.shape[-1])).flatten() for tensor in tensors]
    decode_with = partial(pool_records, profiles=_profiles_of(plan, profiles), pool=pool, device=device)
    decode_blocks = partial(_decode_blocks, decode_with, records.packed)
    with _codec_errors_as_damage(plan):
        rows = _decode_cells(decode_with, records, [spec.cell for spec in plan.specs], decode_blocks)
    return [row.flatten() for row in rows]


def _profiles_of(plan: ReadPlan, profiles: Mapping[str, "Profile"]) -> "list[Profile]":
    return [profiles[identity] for identity in {spec.profile for spec in plan.specs if spec.profile}]


@contextmanager
def _codec_errors_as_damage(plan: ReadPlan) -> Iterator[None]:
    """Turn the error of a codec that cannot decode a record into CorruptStore."""
    from lamofc_codecs import CodecError

    try:
        yield
    except CodecError as error:
        raise CorruptStore(
            f"{plan.locations.describe(0)} or after it: {error}", "lamofc verify names all that is damaged"
        ) from error


def _decode_cells(
    decode: _Decode, records: FetchedRecords, cells: Sequence[Cell], decode_blocks: _DecodeBlocks
) -> list["torch.Tensor"]:
    """Decode one cell of the record of each tensor. Records that need the same parts are decoded in one call.

    Items of a record of several are copied, so that none keeps its whole record in memory or changes a kept one.
    """
    packed = records.packed
    if len(packed) == len(cells) and not any(map(any, cells)):  # one tensor a record
        matrices = decode(packed, parts=[0], items=[0])
        return [matrices[record] for record in records.record]
    tensors = list(zip(records.record.tolist(), cells, strict=True))
    cells_of_record: dict[int, dict[Cell, None]] = {}
    for record, cell in tensors:
        cells_of_record.setdefault(record, {})[cell] = None
    batches: dict[tuple[int, ...] | None, list[int]] = {}
    for record, needed in cells_of_record.items():
        later_items = any(item for item, _ in needed)
        batches.setdefault(None if later_items else tuple(part for _, part in needed), []).append(record)
    decoded: dict[tuple[int, Cell], torch.Tensor] = {}
    for parts, numbers in batches.items():
        if parts is None:  # a record of several items is decoded whole
            for record, items in zip(numbers, decode_blocks(numbers), strict=True):
                decoded |= {(record, cell): items[cell[0]].clone() for cell in cells_of_record[record]}
        else:
            keys = [(record, (0, part)) for record in numbers for part in parts]
            decoded |= zip(keys, decode(packed.take(numbers), parts=parts, items=[0]), strict=True)
    return [decoded[tensor] for tensor in tensors]


def _decode_blocks(decode: _Decode, packed: "Packed", numbers: Sequence[int]) -> list[list["torch.Tensor"]]:
    """Decode all items of some of the records."""
    from lamofc_codecs import inspect

    batch = packed.take(numbers)
    tensors = iter(decode(batch))
    return [list(islice(tensors, inspect(record).items)) for record in batch]


@dataclass(frozen=True)
class _CachedBlocks:
    """Decodes records of several items through a cache."""

    decode: _Decode
    plan: ReadPlan
    records: FetchedRecords
    dtype: "torch.dtype | None"
    cache: BlockCache

    def __call__(self, numbers: Sequence[int]) -> list[list["torch.Tensor"]]:
        """Return all items of some of the records; they belong to the cache."""
        names = self._names(numbers)
        found = {name: items for name in names if (items := self.cache.get(name)) is not None}
        missing = [(number, name) for number, name in zip(numbers, names, strict=True) if name not in found]
        if missing:
            decoded = _decode_blocks(self.decode, self.records.packed, [number for number, _ in missing])
            for (_, name), items in zip(missing, decoded, strict=True):
                self.cache.add(name, items)
                found[name] = items
        return [found[name] for name in names]

    def _names(self, numbers: Sequence[int]) -> list[BlockName]:
        locations, ends = self.plan.locations, self.records.packed.offsets
        tensor_of = dict(zip(self.records.record.tolist(), range(len(locations)), strict=True))
        places = [(number, tensor_of[number]) for number in numbers]
        return [
            BlockName(
                locations.segments[locations.segment[tensor]],
                int(locations.offset[tensor]),
                int(ends[number + 1] - ends[number]),
                self.dtype,
            )
            for number, tensor in places
        ]
