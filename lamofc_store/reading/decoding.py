"""Fetched records to tensors: decoded together by their codecs, then each restored to its own shape."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import CorruptStore
from lamofc_store.reading.fetching import FetchedRecords
from lamofc_store.reading.read_plan import Cell, ReadPlan
from lamofc_store.sample import layout

if TYPE_CHECKING:
    import torch

    from lamofc_codecs import Pool, Profile


def decode_tensors(
    profiles: Mapping[str, "Profile"], plan: ReadPlan, records: FetchedRecords, **options: Any
) -> list["torch.Tensor"]:
    """Decode the tensors of a plan; the options `device` and `dtype` are those of `lamofc_codecs.decode`."""
    from lamofc_codecs import decode

    with _codec_errors_as_damage(plan):
        decode_with = partial(decode, profiles=_profiles_of(plan, profiles), **options)
        matrices = _decode_cells(decode_with, records, [spec.cell for spec in plan.specs])
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
    with _codec_errors_as_damage(plan):
        rows = _decode_cells(decode_with, records, [spec.cell for spec in plan.specs])
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
    decode: "Callable[..., list[torch.Tensor]]", records: FetchedRecords, cells: Sequence[Cell]
) -> list["torch.Tensor"]:
    """Decode one cell of the record of each tensor. Records that need the same parts are decoded in one call."""
    from lamofc_codecs import inspect

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
        batch = packed.take(numbers)
        if parts is None:  # a record of several items is decoded whole
            items = [range(inspect(data).items) for data in batch]
            keys = [
                (record, (item, 0))
                for record, record_items in zip(numbers, items, strict=True)
                for item in record_items
            ]
            decoded |= zip(keys, decode(batch), strict=True)
        else:
            keys = [(record, (0, part)) for record in numbers for part in parts]
            decoded |= zip(keys, decode(batch, parts=parts, items=[0]), strict=True)
    return [decoded[tensor] for tensor in tensors]
