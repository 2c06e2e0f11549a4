"""Items of one record, each by itself: its own figures, and a record of some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
import torch

from lamofc_codecs.codec import Codec
from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.pipeline.decode_record import allocate
from lamofc_codecs.profile import Profile
from lamofc_codecs.record import Buffer, Part, pack, parse, sections
from lamofc_codecs.registry import codec_for
from lamofc_codecs.runtime import Floats, convert
from lamofc_codecs.source import Coded, Source
from lamofc_codecs.stats import NO_DISTORTION, Bulk, Distortion, Sums, compute_sums, item_distortions, sum_by_item


def figures(source: Source, codec: Codec, coded: Coded) -> Iterator[Part]:
    """Those of each item, with each layer more."""
    bulk = codec.bulk if codec.bulk is not None and len(codec.bulk.mean) == source.values.shape[1] else None
    lost = _lost(source, codec, coded, bulk)
    for item, (tokens, sums) in enumerate(zip(source.items, _sums(source, bulk), strict=True)):
        last = lost[-1][item]
        yield Part(
            name="",
            elements=tokens * source.channels,
            sum=sums.sum,
            sum_sq=sums.sum_sq,
            sse=last.sse,
            max_error=last.max_error,
            signal=sums.signal,
            bulk_sse=last.bulk_sse,
            layers=tuple(found[item].sse for found in lost),
        )


def _sums(source: Source, bulk: Bulk | None) -> list[Sums]:
    if bulk is None:
        return [compute_sums(values, None) for values in _split(source.values, source.items)]
    inside, finite = ~bulk.outside(source.values), np.isfinite(source.values)
    values = np.where(finite, source.values, 0).astype(np.float64)
    signal = np.square((values - bulk.mean) * inside)
    each = [sum_by_item(some.sum(1), source.items) for some in (values, values**2, signal, 1.0 * inside, 1.0 * ~finite)]
    return [Sums(a, b, c, int(d), int(e)) for a, b, c, d, e in np.stack(each, 1).tolist()]


def _lost(source: Source, codec: Codec, coded: Coded, bulk: Bulk | None) -> list[tuple[Distortion, ...]]:
    """What a decoder makes of each item, with each layer more."""
    if coded.item_errors:
        return list(coded.item_errors)
    if not coded.errors[-1].max_error:
        return [(NO_DISTORTION,) * len(source.items)] * len(coded.layers)
    layers, found = [memoryview(layer) for layer in coded.layers], []
    for count in range(1, len(layers) + 1):
        decoded = torch.empty_like(source.tensor)
        codec.decode(layers[:count], decoded)
        found.append(item_distortions(source.values, convert(decoded, torch.float32).numpy(), bulk, source.items))
    return found


def _split(values: Floats, items: Sequence[int]) -> list[Floats]:
    return [np.ascontiguousarray(some) for some in np.split(values, np.cumsum(items)[:-1])]


def keep(record: Buffer, profile: Profile, items: Sequence[int]) -> bytes:
    """A record of some items of one that holds several: each decodes to the same values, nothing is left of the others.

    It takes all layers of the record, and makes as many.
    """
    header = parse(record)
    codec, grid, layers = codec_for(header, {profile.id[:32]: profile}), header.grid, sections(record, header)
    chosen = list(items)
    sane = chosen == sorted(set(chosen)) and chosen and chosen[0] >= 0 and chosen[-1] < grid.items
    if not sane or grid.parts > 1 or len(layers) < len(header.partitions):
        raise UnsupportedInput(
            f"items {chosen[:9]} of a record of {grid.items} items x {grid.parts} parts, {len(layers)} of its layers",
            "give numbers of items that it has, rising, and all of a record of one feature",
        )
    ends, dtype = [*accumulate(grid.tokens, initial=0)], getattr(torch, grid.dtypes[0])
    codec.check_length(layers, ends[-1] * grid.channels[0] * dtype.itemsize)
    whole = allocate((ends[-1], grid.channels[0]), dtype)
    codec.decode(layers, whole)
    rows = np.concatenate([np.arange(ends[item], ends[item + 1]) for item in chosen])
    left = codec.keep(layers, whole, rows) if len(rows) else [b""] * len(layers)
    fewer = replace(grid, tokens=tuple(grid.tokens[item] for item in chosen))
    return pack(header.number, header.profile, fewer, [[layer] for layer in left])
