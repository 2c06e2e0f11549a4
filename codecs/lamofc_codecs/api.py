"""The three verbs: fit, encode, decode. Many records at a time, spread over the processor's cores.

A record's bytes do not depend on what else is in the batch, nor on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.pipeline import Decoding, Input, cells_of, decode_on, each, encode_one, size_of
from lamofc_codecs.pooling import Pool
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import Buffer, Packed, PackedView, Record, parse, sections
from lamofc_codecs.registry import by_name, codec_class, codec_for, codec_of_number, open_codec
from lamofc_codecs.runtime import devices


def fit(
    codec: str,
    samples: Iterable[Tensor] | Iterable[Mapping[str, Tensor]],
    quality: Quality | None = None,
    **options: object,
) -> Profile:
    """Fit a codec's parameters on samples, tokens x channels each, read once. Options: see the codec.

    Samples may be mappings of features that share their tokens, where the codec codes such groups: `klt` does.
    """
    return codec_class(codec).fit(samples, quality, **options)


def encode(
    tensors: Sequence[Input],
    profile: Profile,
    *,
    quality: Quality | None = None,
    device: torch.device | str | None = None,
) -> list[Record]:
    """Code each element into a record of its own; `quality` takes the place of the profile's.

    On a GPU `klt` transforms there, to the same bytes, and so do networks, to much the same; all else runs on the CPU.
    """
    codec = open_codec(profile)
    codec.check_quality(quality)
    there = torch.device(device or "cpu")
    return each(
        lambda element: encode_one(element, codec, profile, quality, there), tensors, sum(map(size_of, tensors))
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
    With `out` they are written there, in order, converted to what is there. On a GPU, by `device` or by where `out` is,
    records of `klt` are decoded there, all of them together, and networks run there.
    """
    jobs = _opened(records, profiles, parts, items)
    count = sum(len(job.cells) for job in jobs)
    if out is not None and len(out) != count:
        raise UnsupportedInput(f"{len(out)} tensors to write to, but {count} to decode", "give one for each")
    targets = iter(out) if out is not None else None
    jobs = [replace(job, out=[next(targets) for _ in job.cells] if targets else None, dtype=dtype) for job in jobs]
    there = torch.device(device) if device is not None else out[0].device if out else torch.device("cpu")
    if there.type in devices.ACCELERATORS:
        return [tensor for tensors in decode_on(there, jobs) for tensor in tensors]
    decoded = each(Decoding.run, jobs, sum(job.header.grid.elements for job in jobs))
    flat = [tensor for tensors in decoded for tensor in tensors]
    return flat if out is not None else [tensor.to(there) for tensor in flat]


def pooled(
    records: Sequence[Buffer] | Packed,
    profiles: Profile | Mapping[str, Profile] | Iterable[Profile] | None,
    pool: Pool,
    *,
    parts: Sequence[int] | None = None,
    items: Sequence[int] | None = None,
    device: torch.device | str | None = None,
) -> list[Tensor]:
    """Decode records to pooled tokens: one tensor of rows x channels, float32, where `decode` gives a tensor.

    Records of `klt` are pooled before their transform, which is then done for the rows alone.
    """
    there = torch.device(device or "cpu")
    if there.type in devices.ACCELERATORS:
        return [pool.of(tensor) for tensor in decode(records, profiles, parts=parts, items=items, device=there)]
    jobs = _opened(records, profiles, parts, items)
    found = each(lambda job: job.pooled(pool), jobs, sum(job.header.grid.elements for job in jobs))
    return [tensor.to(there) for tensors in found for tensor in tensors]


def _opened(
    records: Sequence[Buffer] | Packed,
    profiles: Profile | Mapping[str, Profile] | Iterable[Profile] | None,
    parts: Sequence[int] | None,
    items: Sequence[int] | None,
) -> list[Decoding]:
    """Each record with its codec, and what is wanted of it."""
    known = by_name(profiles)
    verified = isinstance(records, Packed | PackedView) and records.verified
    headers = [parse(record, verified=verified) for record in records]
    codecs = [codec_for(header, known) for header in headers]
    return [
        Decoding(record, header, codec, cells_of(header, parts, items), verified)
        for record, header, codec in zip(records, headers, codecs, strict=True)
    ]


def framing(record: Buffer) -> int:
    """Bytes of a record that only frame what it holds: its own header, and what a foreign coder's container adds."""
    header = parse(record)
    kind, parts = codec_of_number(header.number), sections(record, header)
    return len(record) - sum(len(part) - kind.overhead(bytes(part)) for part in parts)


def quantised(tensor: Tensor, profile: Profile) -> Tensor | None:
    """What a codec's quantiser alone makes of a tensor, where it then loses more; else None."""
    return open_codec(profile).quantised(tensor)
