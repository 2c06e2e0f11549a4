"""Fit, encode and decode: the interface for many records at a time, spread over the cores.

The bytes of a record depend neither on the rest of the batch nor on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import replace
from numbers import Integral
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lamofc_codecs.abilities import Framed, Gradual, Layered, Poolable, Positioned, Quantising, Settling
from lamofc_codecs.codec import Codec
from lamofc_codecs.errors import BadQuality, UnsupportedInput
from lamofc_codecs.pipeline import (
    DecodeJob,
    Encodable,
    Encoder,
    cells_of,
    decode_on,
    decode_on_cpu,
    elements_of,
    require_tensors,
)
from lamofc_codecs.pooling import Pool
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import Buffer, Packed, PackedView, Record, parse, sections
from lamofc_codecs.registry import CODECS, by_name, codec_class, codec_for, open_codec, options_of
from lamofc_codecs.runtime import MIN_ENCODED, devices, each
from lamofc_codecs.source import MAX_POSITION, Placement

Profiles: TypeAlias = Profile | Mapping[str, Profile] | Iterable[Profile] | None
"""Profiles that records may name: one, several, or a mapping of several by any key."""


def fit(  # noqa: PLR0913 - one function for all fits; the options are keywords
    codec: str,
    samples: Iterable[Tensor] | Iterable[Mapping[str, Tensor]],
    quality: Quality | None = None,
    *,
    features: Sequence[str] = (),
    first_positions: Sequence[int] | None = None,
    found: Callable[[str, str], None] | None = None,
    progress: Callable[[float], None] | None = None,
    **options: Any,
) -> Profile:
    """Fit a codec's parameters on samples, tokens x channels each, read once. `describe(codec)` lists the options.

    Samples may be mappings of features that share their tokens if the codec is `Grouped`.
    `features` names the features of the samples, for options that differ from feature to feature. `first_positions`
    gives the position in its sequence of the first token of each sample, as for `encode`. `found` is called with the
    name of a feature and words about what its samples showed, where options had left that open. `progress` is called
    with the share of the work that is done, by estimate, if the codec is `Gradual`.
    """
    codec_type, parsed = codec_class(codec), options_of(codec, options, features)
    _check_quality(codec, quality, parsed.targets(codec_type.qualities))
    checked: Iterable[Any] = map(require_tensors, samples)
    starts = None
    if first_positions is not None:
        starts = _first_positions(first_positions, len(samples) if isinstance(samples, Sized) else len(first_positions))
    if issubclass(codec_type, Settling):
        settled = codec_type.settle(checked, starts, features, quality, parsed)
        parsed, checked = settled.options, settled.samples
        if found is not None:
            for feature, finding in settled.findings.items():
                found(feature, finding)
    if starts is not None and issubclass(codec_type, Positioned):
        at_start = codec_type.at_start
        checked = (at_start(sample, at, parsed) for sample, at in zip(checked, starts, strict=True))
    if progress is not None and issubclass(codec_type, Gradual):
        return codec_type.fit_gradually(checked, quality, parsed, progress)
    return codec_type.fit(checked, quality, parsed)


def targets_of(codec: str, options: Mapping[str, object]) -> tuple[str, ...]:
    """Return the targets that a codec can aim at if it is fitted with these options."""
    return options_of(codec, options).targets(codec_class(codec).qualities)


def recorded_options(
    codec: str,
    options: Mapping[str, object],
    features: Sequence[str] = (),
    *,
    config: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """Return the part of a profile's config that these options determine, each key with its value.

    With the `config` of a profile that is to be compared, keys are left out that are younger than the profile.
    """
    options_class = codec_class(codec).options
    compared, keys = options_class.compared(options, features), options_class.config_keys
    stored = options_of(codec, compared, features).to_json()
    recorded = {key: stored.get(key) for option in compared for key in keys.get(option, (option,))}
    younger = set() if config is None else set(options_class.later_keys) - set(config)
    return {key: value for key, value in recorded.items() if key not in younger}


def encode(
    tensors: Sequence[Encodable],
    profile: Profile,
    *,
    quality: Quality | None = None,
    first_positions: Sequence[int] | None = None,
    planes: Sequence[int] | None = None,
    device: torch.device | str | None = None,
) -> list[Record]:
    """Code each element into a record of its own; `quality` replaces that of the profile.

    `first_positions` gives the position in its sequence of the first token of each element, for a profile that undoes
    rotary positions; without it, elements begin at 0. `planes` gives the number of planes that the tokens of each
    element are divided into, for a profile that codes planes apart; without it, each element is one.

    On a GPU `klt` computes its transform, to the same bytes as on the CPU, and learned codecs run their networks, with
    rare differences in the bytes. All other work runs on the CPU.
    """
    encoder = Encoder.of(profile, quality, devices.usable(device or "cpu"))
    _check_quality(profile.codec, quality, encoder.codec.qualities)
    starts, counts = _first_positions(first_positions, len(tensors)), _planes(planes, len(tensors))
    elements = list(zip(tensors, map(Placement, starts, counts), strict=True))
    return each(lambda element: encoder.encode(*element), elements, sum(map(elements_of, tensors)), MIN_ENCODED)


def decode(  # noqa: PLR0913 - one function for all reading; the options are keywords
    records: Sequence[Buffer] | Packed,
    profiles: Profiles,
    *,
    parts: Sequence[int] | None = None,
    items: Sequence[int] | None = None,
    out: Sequence[Tensor] | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> list[Tensor]:
    """Decode records, each with the profile that it names, to one tensor for each cell of each grid.

    Tensors are tokens x channels in the source's dtype, or converted to `dtype`. `parts` and `items` choose cells
    of every record. Checksums are compared unless `verify` has compared them.
    With `out` the results are written to these tensors, in order, and converted to their dtypes; after an error they
    hold anything. On a GPU, that of
    `device` or of `out`, the records of a codec that is `OnDevice` are decoded together.
    """
    jobs = _jobs(records, profiles, parts, items)
    count = sum(len(job.cells) for job in jobs)
    if out is not None and len(out) != count:
        raise UnsupportedInput(f"{len(out)} tensors to write to, but {count} to decode", "give one for each")
    targets = iter(out) if out is not None else None
    jobs = [replace(job, out=[next(targets) for _ in job.cells] if targets else None, dtype=dtype) for job in jobs]
    place = devices.usable(device) if device is not None else out[0].device if out else torch.device("cpu")
    if place.type in devices.ACCELERATORS:
        return [tensor for tensors in decode_on(place, jobs) for tensor in tensors]
    flat = [tensor for tensors in decode_on_cpu(jobs) for tensor in tensors]
    return flat if out is not None else [tensor.to(place) for tensor in flat]


def decode_pooled(
    records: Sequence[Buffer] | Packed,
    profiles: Profiles,
    pool: Pool,
    *,
    parts: Sequence[int] | None = None,
    items: Sequence[int] | None = None,
    device: torch.device | str | None = None,
) -> list[Tensor]:
    """Decode records to pooled tokens: one tensor of rows x channels, float32, for each tensor of `decode`.

    On the CPU a codec that is `Poolable`, as `klt` is, decodes the rows alone; every token of other codecs is decoded.
    """
    place = devices.usable(device or "cpu")
    if place.type in devices.ACCELERATORS:
        return [pool.of(tensor) for tensor in decode(records, profiles, parts=parts, items=items, device=place)]
    jobs = _jobs(records, profiles, parts, items)
    poolable: dict[Codec, Poolable] = {
        codec: codec for codec in {job.codec for job in jobs} if isinstance(codec, Poolable)
    }
    rows = each(
        lambda job: job.pooled(pool, poolable.get(job.codec)), jobs, sum(job.header.grid.elements for job in jobs)
    )
    return [tensor.to(place) for tensors in rows for tensor in tensors]


def _jobs(
    records: Sequence[Buffer] | Packed,
    profiles: Profiles,
    parts: Sequence[int] | None,
    items: Sequence[int] | None,
) -> list[DecodeJob]:
    """Return each record with its codec and the cells to decode."""
    if isinstance(records, Record | Buffer):
        raise UnsupportedInput(f"records is one {type(records).__name__}, not a list", "give [record.data]")
    by_id = by_name(profiles)
    verified = isinstance(records, Packed | PackedView) and records.verified
    headers = [parse(record, verified=verified) for record in records]
    codecs = [codec_for(header, by_id) for header in headers]
    return [
        DecodeJob(record, header, codec, cells_of(header, parts, items), verified)
        for record, header, codec in zip(records, headers, codecs, strict=True)
    ]


def _first_positions(given: Sequence[int] | None, count: int) -> list[int]:
    """Return the position of the first token of each element, or refuse those that are none."""
    starts = [0] * count if given is None else list(given) if isinstance(given, Iterable) else []
    if len(starts) != count or not all(isinstance(at, Integral) and 0 <= at <= MAX_POSITION for at in starts):
        raise UnsupportedInput(
            f"first_positions={given!r:.80} for {count} elements", "give a whole number from 0 on for each"
        )
    return list(map(int, starts))


def _planes(given: Sequence[int] | None, count: int) -> list[int]:
    """Return the number of planes of each element, or refuse those that are none."""
    counts = [1] * count if given is None else list(given) if isinstance(given, Iterable) else []
    if len(counts) != count or not all(isinstance(planes, Integral) and planes >= 1 for planes in counts):
        raise UnsupportedInput(f"planes={given!r:.80} for {count} elements", "give a whole number from 1 on for each")
    return list(map(int, counts))


def _check_quality(codec: str, quality: Quality | None, targets: tuple[str, ...]) -> None:
    """Refuse a target that the codec cannot aim at."""
    if not isinstance(quality, Quality | None):
        raise BadQuality(f"quality={quality!r} is no Quality", "give Quality(snr_db=15)")
    if quality is not None and quality.kind not in targets:
        cure = "leave the quality out"
        if quality.kind == "kl":
            cure = "fit with the weights of a consumer and weight_nats=0.5, or give Quality(snr_db=15)"
        raise BadQuality(
            f"codec {codec} cannot aim at {quality}; its targets: {', '.join(targets) or 'none, its quality is fixed'}",
            cure,
        )


def framing(record: Buffer) -> int:
    """Count the bytes of a record that only frame its content: its header and the containers of foreign formats."""
    header = parse(record)
    codec, layers = CODECS.by_number(header.number), sections(record, header)
    inner = sum(codec.overhead(bytes(layer)) for layer in layers) if issubclass(codec, Framed) else 0
    return len(record) - sum(map(len, layers)) + inner


def levels_of(record: Buffer) -> tuple[int, ...]:
    """Return how many layers each refinement level of a record has, coarse first.

    A prefix that ends with a refinement level is as small as a record that was encoded at its rate.
    """
    header = parse(record)
    codec, first = CODECS.by_number(header.number), sections(record, header)[0]
    return codec.layers_per_level(first) if issubclass(codec, Layered) and len(first) else (1,)


def quantised(tensor: Tensor, profile: Profile) -> Tensor | None:
    """Return a tensor after the codec's quantiser, or None if it has none: the former form of `Quantising.quantise`."""
    codec = open_codec(profile)
    return codec.quantise(tensor) if isinstance(codec, Quantising) else None
