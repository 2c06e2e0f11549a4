"""One point on one feature: every figure from the bytes that a decoder gets and from the tensors that come of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs import Quality
from lamofc_tools.comparison.bulk_snr import Bulk
from lamofc_tools.comparison.coder import Coder, Ours
from lamofc_tools.comparison.operating_points import Point
from lamofc_tools.comparison.peak_memory import peak
from lamofc_tools.comparison.splits import Split

SPREAD = 10_000
"""Samples that what a coder learned is spread over."""


@dataclass(frozen=True)
class Sample:
    """One sample's figures."""

    sample: str
    elements: int
    source_bits: int
    payload_bits: int
    stored_bits: int
    framing_bits: int
    """Of these, headers and containers."""
    sse: float
    quantised_sse: float
    signal: float
    bulk_sse: float
    encode_seconds: float
    decode_seconds: float


@dataclass(frozen=True)
class Found:
    """One point on one feature: sums and means over its samples."""

    feature: str
    coder: str
    setting: str
    samples: int
    bpfp: float
    """Stored bits of an element; the mean over samples, as in the papers."""
    payload_bpfp: float
    framing_bpfp: float
    """Of `bpfp`, headers and containers."""
    ebpfp: float
    """Counted as if the source had 32 bits an element."""
    profile_bpfp: float
    """What was learned, spread over 10 000 samples."""
    mse: float
    quantised_mse: float
    snr_db: float
    encode_seconds: float
    """Median over samples, warm, one at a time."""
    decode_seconds: float
    b_max_mbps: float
    """Bits saved for each second of encoding and decoding, in millions."""
    fit_seconds: float
    of_reference: float | None
    """What the reference takes at the same error, everything counted, as a share of this; None without one."""
    encode_bytes: float | None
    """Most that one sample takes of memory, source and output included; None where it was not measured."""
    decode_bytes: float | None
    each: tuple[Sample, ...]

    @property
    def total(self) -> float:
        """Bits of an element, everything counted."""
        return self.bpfp + self.profile_bpfp

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)


def measure(point: Point, split: Split, *, memory: bool = False) -> Found:
    """Fit, code each sample, compare; memory takes a process of its own, and is of our codecs only."""
    started = time.perf_counter()
    coder = point.make(split.feature, split.train)
    fitted = time.perf_counter() - started
    bulk = Bulk.of(split.train)
    warm = split.test[0]
    coder.decode(coder.encode(warm), warm)
    each = [_sample(coder, name, tensor, bulk) for name, tensor in zip(split.samples, split.test, strict=True)]
    taken = peak(coder.profile, max(split.test, key=Tensor.numel)) if memory and isinstance(coder, Ours) else {}
    found = _summary(point, split, coder, each, fitted)
    return replace(found, encode_bytes=taken.get("encode_bytes"), decode_bytes=taken.get("decode_bytes"))


def against(reference: Point, found: Found, split: Split) -> Found:
    """The same, and what the reference takes at its squared error."""
    if not found.mse:
        return found
    same = measure(replace(reference, quality=Quality(mse=found.mse)), split)
    return replace(found, of_reference=same.total / found.total)


def _sample(coder: Coder, name: str, tensor: Tensor, bulk: Bulk) -> Sample:
    data, encoding = _timed(lambda: coder.encode(tensor))
    decoded, decoding = _timed(lambda: coder.decode(data, tensor))
    x = tensor.to(torch.float32).numpy().astype(np.float64)
    y = decoded.to(torch.float32).numpy().astype(np.float64)
    error = np.square(x - y)
    quantised = coder.quantised(tensor)
    own = error if quantised is None else np.square(x - quantised.to(torch.float32).numpy())
    return Sample(
        sample=name,
        elements=x.size,
        source_bits=8 * tensor.nbytes,
        payload_bits=coder.payload(data),
        stored_bits=8 * len(data),
        framing_bits=8 * coder.framing(data),
        sse=float(error.sum()),
        quantised_sse=float(own.sum()),
        signal=bulk.signal(x),
        bulk_sse=bulk.noise(x, y),
        encode_seconds=encoding,
        decode_seconds=decoding,
    )


def _summary(point: Point, split: Split, coder: Coder, each: Sequence[Sample], fitted: float) -> Found:
    elements = sum(one.elements for one in each)
    taken = sum(one.encode_seconds + one.decode_seconds for one in each)
    saved = sum(one.source_bits - one.stored_bits for one in each)
    noise = statistics.fmean(one.bulk_sse / max(one.signal, 1e-300) for one in each)
    bpfp = statistics.fmean(one.stored_bits / one.elements for one in each)
    return Found(
        feature=split.feature,
        coder=point.coder,
        setting=point.setting,
        samples=len(each),
        bpfp=bpfp,
        payload_bpfp=statistics.fmean(one.payload_bits / one.elements for one in each),
        framing_bpfp=statistics.fmean(one.framing_bits / one.elements for one in each),
        ebpfp=statistics.fmean(32 * one.stored_bits / one.source_bits for one in each),
        profile_bpfp=8 * coder.profile_bytes / (SPREAD * elements / len(each)),
        mse=statistics.fmean(one.sse / one.elements for one in each),
        quantised_mse=statistics.fmean(one.quantised_sse / one.elements for one in each),
        snr_db=float(-10 * np.log10(max(noise, 1e-30))),
        encode_seconds=statistics.median(one.encode_seconds for one in each),
        decode_seconds=statistics.median(one.decode_seconds for one in each),
        b_max_mbps=saved / taken / 1e6,
        fit_seconds=fitted,
        of_reference=None,
        encode_bytes=None,
        decode_bytes=None,
        each=tuple(each),
    )


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    _finish()
    started = time.perf_counter()
    found = work()
    _finish()
    return found, time.perf_counter() - started


def _finish() -> None:
    """Wait for what a GPU still has to do."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
