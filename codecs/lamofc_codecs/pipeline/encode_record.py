"""One record: from a tensor, its items or a group of features to bytes, with the figures of what was lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lamofc_codecs.codec import Codec
from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.pipeline.items import figures
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.raw import least_size
from lamofc_codecs.record import Grid, Layer, Part, Record, pack
from lamofc_codecs.registry import RAW, open_codec
from lamofc_codecs.source import Coded, Source

Input = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
"""One tensor, tokens x channels; several items of one feature for a common record; or the features of a group."""


def encode_one(element: Input, codec: Codec, profile: Profile, quality: Quality | None, device: torch.device) -> Record:
    """Code one element; `raw` takes over where the codec gains nothing."""
    if isinstance(element, Mapping):
        return _encode_group(element, codec, profile, quality, device)
    items = _items(element, codec)
    tensor = items[0] if len(items) == 1 else torch.cat(items)
    source = replace(Source.of(tensor, codec.bulk, tuple(map(len, items))), device=device)
    grid = Grid(tuple(len(item) for item in items), (tensor.shape[1],), (_name(tensor.dtype),))
    grid.check()
    coded = codec.encode(source, quality)
    record = _record(codec, profile, grid, source, coded)
    if codec.id != "raw" and not (coded.reached and len(record.data) <= least_size(source.tensor)):
        raw = open_codec(RAW)
        plain = raw.encode(source)
        kept = _record(raw, RAW, grid, source, plain)
        if not coded.reached or len(record.data) > len(kept.data):
            record, coded = kept, plain
    return replace(record, items=tuple(figures(source, codec, coded))) if len(items) > 1 else record


def _encode_group(
    element: Mapping[str, Tensor], codec: Codec, profile: Profile, quality: Quality | None, device: torch.device
) -> Record:
    """Features that share their tokens, in one record."""
    if sorted(element) != sorted(codec.parts):
        raise UnsupportedInput(
            f"profile {profile.id[:12]} codes {list(codec.parts) or 'single features'}, got {sorted(element)}",
            "give those features, or fit a profile on yours",
        )
    tensors = [_dense(element[name]) for name in codec.parts]
    if len({len(tensor) for tensor in tensors}) != 1 or codec.bulk is None:
        raise UnsupportedInput(
            f"features of {[len(tensor) for tensor in tensors]} tokens; those of a group share their tokens",
            "code them apart",
        )
    grid = Grid(
        (len(tensors[0]),),
        tuple(tensor.shape[1] for tensor in tensors),
        tuple(_name(tensor.dtype) for tensor in tensors),
    )
    grid.check()
    source = replace(Source.of_parts(tensors, codec.bulk), device=device)
    coded = codec.encode(source, quality)
    if not coded.reached:
        raise UnsupportedInput(f"no record of {list(codec.parts)} reaches {quality}", "code them apart")
    return replace(_record(codec, profile, grid, source, coded), parts=tuple(_parts(codec.parts, source, coded)))


def _parts(names: Sequence[str], source: Source, coded: Coded) -> Iterator[Part]:
    for number, (name, tensor, sums) in enumerate(zip(names, source.tensors, source.part_sums, strict=True)):
        errors = [layer[number] for layer in coded.part_errors]
        yield Part(
            name=name,
            elements=tensor.numel(),
            sum=sums.sum,
            sum_sq=sums.sum_sq,
            sse=errors[-1].sse,
            max_error=errors[-1].max_error,
            signal=sums.signal,
            bulk_sse=errors[-1].bulk_sse,
            layers=tuple(error.sse for error in errors),
        )


def size_of(element: Input) -> int:
    """Elements of one record's tensors."""
    parts = (
        [element]
        if isinstance(element, Tensor)
        else list(element.values() if isinstance(element, Mapping) else element)
    )
    return sum(part.numel() for part in parts)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _items(element: Tensor | Sequence[Tensor], codec: Codec) -> list[Tensor]:
    """Return the items of one record, contiguous and on the CPU, once they are known to belong together."""
    if codec.parts:
        raise UnsupportedInput(
            f"the profile codes {list(codec.parts)} together, got one feature", "give them by name, or fit a profile"
        )
    items = [_dense(item) for item in ([element] if isinstance(element, Tensor) else element)]
    if not items:
        raise UnsupportedInput(f"a record of {len(items)} items: there is no item to code", "give at least one tensor")
    if len({(item.dtype, item.shape[1]) for item in items}) != 1:
        kinds = [f"{item.dtype} {tuple(item.shape)}" for item in items]
        raise UnsupportedInput(f"items of one record have one dtype and channel count, got {kinds}", "code them apart")
    return items


def _dense(item: Tensor) -> Tensor:
    """Return a tensor contiguous and on the CPU, once it is known to be tokens x channels."""
    if item.dim() != 2 or item.layout != torch.strided or item.is_quantized:
        raise UnsupportedInput(
            f"tensor of {item.dtype} {tuple(item.shape)} in layout {item.layout}; expected dense tokens x channels",
            "bring it to two axes with a pattern, or call to_dense()",
        )
    return item.detach().cpu().resolve_conj().resolve_neg().contiguous()


def _record(codec: Codec, profile: Profile, grid: Grid, source: Source, coded: Coded) -> Record:
    data = pack(codec.number, "" if codec.id == "raw" else profile.id, grid, [[layer] for layer in coded.layers])
    header = len(data) - sum(map(len, coded.layers))
    sizes = [len(layer) + header * (number == 0) for number, layer in enumerate(coded.layers)]
    last = coded.errors[-1]
    return Record(
        data=data,
        codec=codec.id,
        layers=tuple(Layer(size, error.sse) for size, error in zip(sizes, coded.errors, strict=True)),
        elements=grid.elements,
        sum=source.sums.sum,
        sum_sq=source.sums.sum_sq,
        sse=last.sse,
        max_error=last.max_error,
        signal=source.sums.signal,
        bulk_sse=last.bulk_sse,
        payload_bits=8 * (len(data) - header),
    )
