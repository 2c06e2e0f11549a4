"""The three verbs: fit, encode, decode. Many records at a time, spread over the processor's cores.

A record's bytes do not depend on what else is in the batch, nor on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from lamofc_codecs.codec import Codec, Coded, Source
from lamofc_codecs.dtypes import convert, convert_into
from lamofc_codecs.encoded import Layer, Record
from lamofc_codecs.errors import CorruptRecord, UnknownProfile, UnsupportedInput
from lamofc_codecs.grid import Grid
from lamofc_codecs.header import Header
from lamofc_codecs.packed import Packed
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.raw import least_size
from lamofc_codecs.record import Buffer, pack, parse, sections
from lamofc_codecs.registry import RAW, by_name, codec_class, codec_of_number, open_codec

Item = TypeVar("Item")
Result = TypeVar("Result")
Input = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
"""One tensor, tokens x channels; or several items of one feature for a common record."""

_SMALL = 1 << 16
"""Elements below which a thread is not worth its start."""


def fit(codec: str, samples: Iterable[Tensor], quality: Quality | None = None, **options: object) -> Profile:
    """Fit a codec's parameters on samples, tokens x channels each, read once. Options: see the codec."""
    return codec_class(codec).fit(samples, quality, **options)


def encode(
    tensors: Sequence[Input],
    profile: Profile,
    *,
    quality: Quality | None = None,
    device: torch.device | str | None = None,
) -> list[Record]:
    """Code each element into a record of its own; `quality` takes the place of the profile's."""
    codec = open_codec(profile)
    codec.check_quality(quality)
    _cpu_only(device)
    return _each(lambda element: _encode(element, codec, profile, quality), tensors, sum(map(_size, tensors)))


def _size(element: Input) -> int:
    parts = (
        [element]
        if isinstance(element, Tensor)
        else list(element.values() if isinstance(element, Mapping) else element)
    )
    return sum(part.numel() for part in parts)


def _encode(element: Input, codec: Codec, profile: Profile, quality: Quality | None) -> Record:
    items = _items(element, codec)
    tensor = items[0] if len(items) == 1 else torch.cat(items)
    source = Source.of(tensor, codec.bulk)
    grid = Grid(tuple(len(item) for item in items), (tensor.shape[1],), (str(tensor.dtype).removeprefix("torch."),))
    grid.check()
    coded = codec.encode(source, quality)
    record = _record(codec, profile, grid, source, coded)
    if codec.id == "raw" or (coded.reached and len(record.data) <= least_size(source.tensor)):
        return record
    raw = open_codec(RAW)
    kept = _record(raw, RAW, grid, source, raw.encode(source))
    return record if coded.reached and len(record.data) <= len(kept.data) else kept


def _items(element: Input, codec: Codec) -> list[Tensor]:
    """Return the items of one record, contiguous and on the CPU, once they are known to belong together."""
    if isinstance(element, Mapping):
        raise UnsupportedInput(
            f"codec {codec.id} codes one feature a record, got {len(element)} named ones", "give each tensor on its own"
        )
    items = [element] if isinstance(element, Tensor) else list(element)
    for item in items:
        if item.dim() != 2 or item.layout != torch.strided or item.is_quantized:
            raise UnsupportedInput(
                f"tensor of {item.dtype} {tuple(item.shape)} in layout {item.layout}; expected dense tokens x channels",
                "bring it to two axes with a pattern, or call to_dense()",
            )
    if not items:
        raise UnsupportedInput(f"a record of {len(items)} items: there is no item to code", "give at least one tensor")
    if len({(item.dtype, item.shape[1]) for item in items}) != 1:
        kinds = [f"{item.dtype} {tuple(item.shape)}" for item in items]
        raise UnsupportedInput(f"items of one record have one dtype and channel count, got {kinds}", "code them apart")
    return [item.detach().cpu().resolve_conj().resolve_neg().contiguous() for item in items]


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


def decode(  # noqa: PLR0913 - one verb for all reading; the options are keywords
    records: Sequence[Buffer] | Packed,
    profiles: Profile | Mapping[str, Profile] | Iterable[Profile] | None,
    *,
    parts: Sequence[int] | None = None,
    items: Sequence[int] | None = None,
    out: Sequence[Tensor] | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> list[Tensor]:
    """Decode records, each by the profile that it names; one tensor for each, or for each cell of its grid.

    Tensors are tokens x channels in the source's dtype, or converted to `dtype`. `parts` and `items` choose cells
    of every record.
    With `out` they are written there, in order, converted to what is there.
    """
    known = by_name(profiles)
    headers = [parse(record) for record in records]
    codecs = [_codec_of(header, known) for header in headers]
    cells = [_cells(header, parts, items) for header in headers]
    if out is not None and len(out) != sum(map(len, cells)):
        raise UnsupportedInput(
            f"{len(out)} tensors to write to, but {sum(map(len, cells))} to decode", "give one for each"
        )
    targets = iter(out) if out is not None else None
    jobs = [
        _Job(record, header, codec, chosen, [next(targets) for _ in chosen] if targets else None, dtype)
        for record, header, codec, chosen in zip(records, headers, codecs, cells, strict=True)
    ]
    decoded = _each(_Job.run, jobs, sum(header.grid.elements for header in headers))
    flat = [tensor for tensors in decoded for tensor in tensors]
    return flat if device is None or out is not None else [tensor.to(device) for tensor in flat]


@dataclass(frozen=True)
class _Job:
    """One record to decode."""

    record: Buffer
    header: Header
    codec: Codec
    items: Sequence[int]
    out: list[Tensor] | None
    dtype: torch.dtype | None

    def run(self) -> list[Tensor]:
        grid = self.header.grid
        layers = sections(self.record, self.header)
        shape = (sum(grid.tokens), grid.channels[0])
        source_dtype = getattr(torch, grid.dtypes[0])
        self.codec.check_length(layers, shape[0] * shape[1] * source_dtype.itemsize)
        first = self.out[0] if self.out and grid.items == 1 else None
        direct = first is not None and _takes(first, shape, source_dtype)
        whole = first if first is not None and direct else _room(shape, source_dtype)
        self.codec.decode(layers, whole)
        pieces = torch.split(whole, list(grid.tokens)) if grid.items > 1 else (whole,)
        chosen = [pieces[item] for item in self.items]
        if self.out is None:
            return [piece if self.dtype is None else convert(piece, self.dtype) for piece in chosen]
        for target, piece in zip(self.out, chosen, strict=True):
            _check_out(target, piece, self.dtype)
            if target is not piece:
                convert_into(piece, target)
        return self.out


def _room(shape: tuple[int, int], dtype: torch.dtype) -> Tensor:
    """Return an empty tensor. Made of bytes, because torch warns of complex32 whenever it makes one."""
    return torch.empty(shape[0] * shape[1] * dtype.itemsize, dtype=torch.uint8).view(dtype).view(shape)


def _takes(target: Tensor, shape: tuple[int, int], dtype: torch.dtype) -> bool:
    """Whether a codec can decode straight into that tensor."""
    fits = target.shape == shape and target.dtype == dtype and target.is_contiguous()
    return fits and target.device.type == "cpu" and not target.requires_grad


def _check_out(target: Tensor, piece: Tensor, dtype: torch.dtype | None) -> None:
    if target.shape != piece.shape or dtype not in (None, target.dtype):
        raise UnsupportedInput(
            f"a tensor of {target.dtype} {tuple(target.shape)} to write {tuple(piece.shape)} to, with dtype={dtype}",
            "give one of the record's shape, and no other dtype",
        )


def _codec_of(header: Header, known: Mapping[str, Profile]) -> Codec:
    kind = codec_of_number(header.number)
    if kind.id == "raw":
        return open_codec(RAW)
    if header.profile not in known:
        given = ", ".join(sorted(name[:12] for name in known)) or "none"
        raise UnknownProfile(
            f"the record wants profile {header.profile}; given: {given}", "give the profile of that id"
        )
    codec = open_codec(known[header.profile])
    if codec.number != header.number:
        raise CorruptRecord(f"the record is of codec {kind.id}, its profile {header.profile} of {codec.id}")
    return codec


def _cells(header: Header, parts: Sequence[int] | None, items: Sequence[int] | None) -> Sequence[int]:
    """Return the items asked for. The codecs here write one part and one layer, whole."""
    layered = codec_of_number(header.number).layered
    if header.parts != 1 or any(header.partitions) or (len(header.partitions) != 1 and not layered):
        raise CorruptRecord(
            f"{header.parts} parts in {len(header.partitions)} layers cut {header.partitions}; codec number "
            f"{header.number} writes one part in {'whole layers' if layered else 'one whole layer'}"
        )
    if parts is not None and any(part != 0 for part in parts):
        raise UnsupportedInput(f"parts {list(parts)} of a record that has one", "ask for part 0, or for no parts")
    if items is not None and not all(0 <= item < header.items for item in items):
        raise UnsupportedInput(f"items {list(items)} of a record that has {header.items}", "ask for those that it has")
    return range(header.items) if items is None else items


def _each(work: Callable[[Item], Result], jobs: Sequence[Item], elements: int) -> list[Result]:
    """Do all jobs, on several threads where that pays; an error of any of them is raised."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(len(jobs), cores, torch.get_num_threads())
    if workers < 2 or elements < 2 * _SMALL:
        return [work(job) for job in jobs]
    # Many tiny jobs go out in bundles: handing one over costs as much as decoding it.
    bundle = max(1, min(len(jobs) // (4 * workers), _SMALL * len(jobs) // elements))
    bundles = [jobs[start : start + bundle] for start in range(0, len(jobs), bundle)]
    threads = torch.get_num_threads()
    try:
        # Each of ours is one core's work; torch would start as many again for each.
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            done = pool.map(lambda some: [work(job) for job in some], bundles)
            return [result for results in done for result in results]
    finally:
        torch.set_num_threads(threads)  # parts of that setting are not a thread's own


def _cpu_only(device: torch.device | str | None) -> None:
    """Encoding runs on the CPU wherever the tensors are; a device is only checked to exist."""
    if device is not None:
        torch.device(device)
