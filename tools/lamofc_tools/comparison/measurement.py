"""Measure one point on one feature, from the bytes that a decoder receives and the tensors that it returns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs import Quality
from lamofc_codecs.stats import Bulk
from lamofc_tools.comparison.bulk_snr import Floats, bulk_noise, bulk_signal, fit_bulk
from lamofc_tools.comparison.coder import CodecCoder, Coder
from lamofc_tools.comparison.operating_points import Point
from lamofc_tools.comparison.peak_memory import coding_memory, gpu_memory
from lamofc_tools.comparison.splits import SampleSplit
from lamofc_tools.curve_points import CurvePoint

PROFILE_SAMPLES = 10_000
"""Samples over which the bytes of learned parameters are spread."""
MEMORY_FIGURES = ("encode_bytes", "decode_bytes", "encode_gpu_bytes", "decode_gpu_bytes")
"""Figures of a measurement that are peaks of memory."""
_MIN_SIGNAL = 1e-300
"""Keeps the ratio of noise to signal finite for a constant tensor."""
_MIN_NOISE_SHARE = 1e-30
"""Caps the signal-to-noise ratio of a lossless coder at 300 dB."""


@dataclass(frozen=True)
class SampleFigures:
    """Figures of one sample."""

    sample: str
    elements: int
    source_bits: int
    payload_bits: int
    stored_bits: int
    framing_bits: int
    """Bits of headers and containers, among the stored bits."""
    stored_bits_of_32: float
    """Stored bits as if every element of the source had 32 bits."""
    payload_bits_of_32: float
    sse: float
    quantised_sse: float
    signal: float
    bulk_sse: float
    encode_seconds: float
    decode_seconds: float
    fallback: int
    """Tensors among these whose record is lossless, because that of the coder would be larger or miss its quality."""

    @property
    def expanded(self) -> bool:
        """Whether the stored bits exceed those of the source."""
        return self.stored_bits > self.source_bits


@dataclass(frozen=True)
class Measurement(CurvePoint):
    """One point on one feature: means over samples, and with `pooled` in the name ratios of sums over samples."""

    feature: str
    coder: str
    setting: str
    samples: int
    bpfp: float
    """Stored bits per element: the mean over samples, as in the papers."""
    pooled_bpfp: float
    """Stored bits of all samples over their elements."""
    payload_bpfp: float
    """Bits without headers and containers per element: the mean over samples."""
    pooled_payload_bpfp: float
    framing_bpfp: float
    """Bits of headers and containers per element, part of `bpfp`."""
    ebpfp: float
    """Stored bits per element, as if the source had 32 bits per element."""
    payload_ebpfp: float
    profile_bpfp: float
    """Bits of the learned parameters per element, spread over 10 000 samples."""
    mse: float
    """Squared error per element: the mean over samples."""
    pooled_mse: float
    quantised_mse: float
    snr_db: float
    encode_seconds: float
    """Median over samples, warm, one sample at a time."""
    decode_seconds: float
    b_max_mbps: float
    """Millions of bits saved per second of encoding and decoding."""
    fit_seconds: float
    of_reference: float | None
    """Bits of the reference at the same error, everything counted, as a ratio to this; None without a reference."""
    encode_bytes: float | None
    """Peak memory of one sample, source and output included; None where it was not measured."""
    decode_bytes: float | None
    encode_gpu_bytes: float | None
    """Peak memory allocated on a GPU, with what the codec keeps there; None where there is no GPU or nobody asked."""
    decode_gpu_bytes: float | None
    each: tuple[SampleFigures, ...]

    @property
    def total(self) -> float:
        """Stored bits and learned parameters, per element."""
        return self.bpfp + self.profile_bpfp


class Fitted(NamedTuple):
    """A fitted coder, as it is named and what it cost."""

    feature: str
    coder: str
    setting: str
    profile_bpfp: float
    fit_seconds: float


def measure(point: Point, split: SampleSplit, *, memory: bool = False) -> Measurement:
    """Fit, then encode and decode each sample. Memory is measured in a process of its own, for our codecs only."""
    started = time.perf_counter()
    coder = point.make(split)
    fit_seconds = time.perf_counter() - started
    bulk = fit_bulk(split.train)
    first = split.test[0]
    planes = split.planes or [1] * len(split.test)
    coder.decode(_encode(coder, first, planes[0]), first)  # untimed, because the first call is slower
    each = [
        _sample_figures(coder, name, _Measured(tensor, count), bulk)
        for name, tensor, count in zip(split.samples, split.test, planes, strict=True)
    ]
    profile = spread_profile(coder.profile_bytes, statistics.fmean(sample.elements for sample in each))
    fitted = Fitted(split.feature, point.coder, point.setting, profile, fit_seconds)
    measurement = summarise(fitted, each)
    if not memory or not isinstance(coder, CodecCoder) or split.parts:
        return measurement
    first_planes = [tensor.chunk(count)[0] for tensor, count in zip(split.test, planes, strict=True)]
    largest = max(first_planes, key=Tensor.numel)
    return with_memory(measurement, {**coding_memory(coder.profile, largest), **gpu_memory(coder.profile, largest)})


def with_memory(measurement: Measurement, peaks: Mapping[str, float | None]) -> Measurement:
    """Add the peaks of memory that were measured."""
    return replace(
        measurement,
        encode_bytes=peaks.get("encode_bytes"),
        decode_bytes=peaks.get("decode_bytes"),
        encode_gpu_bytes=peaks.get("encode_gpu_bytes"),
        decode_gpu_bytes=peaks.get("decode_gpu_bytes"),
    )


def measure_reference(reference: Point, measurement: Measurement, split: SampleSplit) -> Measurement:
    """Add the ratio of the reference's bits to those of a measurement, both at the same squared error."""
    if not measurement.mse:
        return measurement
    same = measure(replace(reference, quality=Quality(mse=measurement.mse)), split)
    return replace(measurement, of_reference=same.total / measurement.total)


class _Measured(NamedTuple):
    """A sample to measure."""

    tensor: Tensor
    planes: int


def _encode(coder: Coder, tensor: Tensor, planes: int) -> bytes:
    """Encode a tensor; only codecs of this project code planes apart."""
    return coder.encode(tensor, planes) if isinstance(coder, CodecCoder) else coder.encode(tensor)


def _sample_figures(coder: Coder, name: str, sample: _Measured, bulk: Bulk) -> SampleFigures:
    tensor = sample.tensor
    data, encode_seconds = _timed(lambda: _encode(coder, tensor, sample.planes))
    decoded, decode_seconds = _timed(lambda: coder.decode(data, tensor))
    x = np.ascontiguousarray(tensor.to(torch.float32).numpy())
    y = np.ascontiguousarray(decoded.to(torch.float32).numpy())
    sse = _squared_error(x, y)
    quantised = coder.quantised(tensor)
    payload_bits, stored_bits, of_32 = coder.payload(data), 8 * len(data), 4 / tensor.element_size()
    return SampleFigures(
        sample=name,
        elements=x.size,
        source_bits=8 * tensor.nbytes,
        payload_bits=payload_bits,
        stored_bits=stored_bits,
        framing_bits=8 * coder.framing(data),
        stored_bits_of_32=stored_bits * of_32,
        payload_bits_of_32=payload_bits * of_32,
        sse=sse,
        quantised_sse=sse if quantised is None else _squared_error(x, quantised.to(torch.float32).numpy()),
        signal=bulk_signal(x, bulk),
        bulk_sse=bulk_noise(x, y, bulk),
        encode_seconds=encode_seconds,
        decode_seconds=decode_seconds,
        fallback=int(coder.falls_back(data)),
    )


def _squared_error(x: Floats, y: Floats) -> float:
    return float(np.square(x.astype(np.float64) - y).sum())


def spread_profile(size: float, elements: float) -> float:
    """Spread bytes of learned parameters over 10 000 samples of so many elements; return bits per element."""
    return 8 * size / (PROFILE_SAMPLES * elements)


def b_max_mbps(saved_bits: float, seconds: float) -> float:
    """Compute LaMoFCBench's B_max: millions of bits saved in each second of encoding and decoding."""
    return saved_bits / seconds / 1e6


def summarise(fitted: Fitted, each: Sequence[SampleFigures]) -> Measurement:
    """Compute means, ratios of sums and counts over samples."""
    elements = sum(sample.elements for sample in each)
    coding_seconds = sum(sample.encode_seconds + sample.decode_seconds for sample in each)
    saved_bits = sum(sample.source_bits - sample.stored_bits for sample in each)
    noise_share = statistics.fmean(sample.bulk_sse / max(sample.signal, _MIN_SIGNAL) for sample in each)
    return Measurement(
        feature=fitted.feature,
        coder=fitted.coder,
        setting=fitted.setting,
        samples=len(each),
        bpfp=statistics.fmean(sample.stored_bits / sample.elements for sample in each),
        pooled_bpfp=sum(sample.stored_bits for sample in each) / elements,
        payload_bpfp=statistics.fmean(sample.payload_bits / sample.elements for sample in each),
        pooled_payload_bpfp=sum(sample.payload_bits for sample in each) / elements,
        framing_bpfp=statistics.fmean(sample.framing_bits / sample.elements for sample in each),
        ebpfp=statistics.fmean(sample.stored_bits_of_32 / sample.elements for sample in each),
        payload_ebpfp=statistics.fmean(sample.payload_bits_of_32 / sample.elements for sample in each),
        profile_bpfp=fitted.profile_bpfp,
        mse=statistics.fmean(sample.sse / sample.elements for sample in each),
        pooled_mse=sum(sample.sse for sample in each) / elements,
        quantised_mse=statistics.fmean(sample.quantised_sse / sample.elements for sample in each),
        snr_db=float(-10 * np.log10(max(noise_share, _MIN_NOISE_SHARE))),
        encode_seconds=statistics.median(sample.encode_seconds for sample in each),
        decode_seconds=statistics.median(sample.decode_seconds for sample in each),
        b_max_mbps=b_max_mbps(saved_bits, coding_seconds),
        fit_seconds=fitted.fit_seconds,
        of_reference=None,
        **dict.fromkeys(MEMORY_FIGURES),
        fallbacks=sum(sample.fallback > 0 for sample in each),
        expanded=sum(sample.expanded for sample in each),
        each=tuple(each),
    )


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    _synchronise()
    started = time.perf_counter()
    result = work()
    _synchronise()
    return result, time.perf_counter() - started


def _synchronise() -> None:
    """Wait for the GPU, if one is in use."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
