"""The codec `uniform`: one step for all channels, each with the entropy table of its own spread.

The step meets a quality for each sample. With the option `bits` it is fixed instead, as in the b-bit quantiser over a
fixed range of published work on feature coding, whose grid does not depend on the sample.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.codec import Codec, check_channels, target_of
from lamofc_codecs.entropy import CLASSES, SIGMA_TABLES, classes_of, read_exact_values, write_exact_values
from lamofc_codecs.errors import CodecError, CorruptRecord
from lamofc_codecs.options import parse_options
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Floats, convert
from lamofc_codecs.source import Encoding, Source
from lamofc_codecs.stats import Bulk, collect_statistics, measure_distortion
from lamofc_codecs.uniform.block import Block, ColumnLayout
from lamofc_codecs.uniform.options import UniformOptions
from lamofc_codecs.uniform.quantiser import UNBOUNDED, Scale, fit_offsets, offsets_in_steps, quantise, restore
from lamofc_codecs.uniform.rate_control import Candidate, RateControl
from lamofc_codecs.uniform.rate_estimate import EntrySample

_HEAD = struct.Struct("<fBI")
_HAS_OFFSETS, _HAS_EXACT_VALUES = 1, 2
_MIN_STEP = 2.0**-100
"""Least step, and the inverse of the largest, well within the range of float32."""


class Uniform(Codec):
    """Codec that rounds each value to a multiple of one step, about its channel's mean."""

    id = "uniform"
    number = 2
    summary = "one step for all channels, an entropy table by each channel's spread"
    qualities: tuple[str, ...] = ("snr_db", "mse", "bpfp", "step", "max_error")
    options = UniformOptions

    @classmethod
    def fit(cls, samples: Iterable[Tensor], quality: Quality | None, options: UniformOptions) -> Profile:
        """Fit the bulk, the spreads of the channels, and the reconstruction offsets."""
        collected = collect_statistics(samples, skip_nonfinite=options.nonfinite == "exact")
        bulk, sigma = collected.finish()
        offsets = fit_offsets(collected.values(), bulk, sigma)
        config = {
            "channels": len(sigma),
            **options.to_json(),
            "tables": SIGMA_TABLES,
            "quality": quality.to_json() if quality else None,
        }
        tensors = {"sigma": torch.from_numpy(sigma), "shrink": torch.from_numpy(offsets), **bulk.tensors()}
        return Profile(cls.id, config, tensors)

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        config = dict(profile.config)
        tables = config.pop("tables", None)
        if tables != SIGMA_TABLES:
            raise CodecError(
                f"profile {profile.id[:12]} needs tables {tables}, not {SIGMA_TABLES}", "upgrade lamofc-store"
            )
        self._bulk = Bulk.required(profile)
        check_channels(profile, self._bulk)
        for name in ("quality", "channels"):
            config.pop(name, None)
        self._options = parse_options(UniformOptions, config, f"profile {profile.id[:12]}")
        self.qualities = self._options.targets(self.qualities)
        self._sigma: Floats = profile.tensor("sigma", torch.float32, len(self._bulk.mean)).numpy()
        self._offsets = offsets_in_steps(profile.tensor("shrink", torch.uint8, CLASSES).numpy())
        self._middle = self._options.middles(self._bulk.mean)

    def encode(self, source: Source, quality: Quality | None) -> Encoding:
        """Quantise with the step that meets the quality, or with the fixed step of the option `bits`."""
        options = self._options
        source = source.for_lossy(self.id, len(self._sigma), exact=options.nonfinite == "exact")
        target = None if options.bits is not None else target_of(self, quality)
        if not source.values.size:
            return Encoding((b"",))
        values = options.clipped(source.values)
        if target is None:
            return self._pack(source, self._try(source, values, options.step, has_offsets=False), has_offsets=False)
        has_offsets = target.kind != "max_error"
        control = RateControl(
            target,
            source,
            EntrySample.from_values(values, self._middle, self._bulk),
            self._sigma,
            self._offsets * has_offsets,
        )
        tried = control.encode_to_target(lambda step: self._try(source, values, step, has_offsets=has_offsets))
        if target.kind == "max_error":
            tried = tried.store_far_entries(source, self._bulk, target.value)
        return self._pack(source, tried, has_offsets=has_offsets)

    def _scale(self, step: float, columns: ColumnLayout, has_offsets: bool) -> Scale:
        offsets = self._offsets if has_offsets else np.zeros_like(self._offsets)
        return Scale(self._middle, np.float32(step), offsets[columns.classes])

    def _try(self, source: Source, values: Floats, step: float, *, has_offsets: bool) -> Candidate:
        step = min(max(step, _MIN_STEP), 1 / _MIN_STEP)
        columns = ColumnLayout.from_classes(classes_of(self._sigma, np.float32(step)), source.tokens)
        scale = self._scale(step, columns, has_offsets)
        bounds = self._options.range if self._options.outside == "exact" and self._options.range else UNBOUNDED
        quantised = quantise(values, scale, columns, bounds)
        decoded = restore(quantised.block, scale, source.tensor.dtype)
        exact = torch.from_numpy(quantised.exact)
        decoded.view(-1)[exact] = source.tensor.view(-1)[exact]
        distortion = measure_distortion(source.values, convert(decoded, torch.float32).numpy(), self._bulk)
        return Candidate(float(scale.step), quantised.block, quantised.exact, decoded, distortion)

    def _pack(self, source: Source, tried: Candidate, *, has_offsets: bool) -> Encoding:
        block = tried.block.pack()
        flags = _HAS_OFFSETS * has_offsets | _HAS_EXACT_VALUES * bool(len(tried.exact))
        outliers = write_exact_values(tried.exact, source.tensor) if len(tried.exact) else b""
        section = b"".join((_HEAD.pack(tried.step, flags, len(block)), block, outliers))
        return Encoding((section,), (tried.distortion,), tried.reached)

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Fill `out` from the only layer."""
        data = layers[0]
        if not out.numel() or out.shape[1] != len(self._sigma):
            if out.numel() or len(data):
                raise CorruptRecord(
                    f"{len(data)} bytes for a tensor of {tuple(out.shape)}; the profile has {len(self._sigma)} channels"
                )
            return
        step, flags, size = _HEAD.unpack_from(data) if len(data) >= _HEAD.size else (0.0, 0, 0)
        end = _HEAD.size + size
        if (
            not 0 < step < np.inf
            or flags > _HAS_OFFSETS | _HAS_EXACT_VALUES
            or end > len(data)
            or (end < len(data)) != bool(flags & _HAS_EXACT_VALUES)
        ):
            raise CorruptRecord(f"step {step}, flags {flags} and a block of {size} bytes in a section of {len(data)}")
        columns = ColumnLayout.from_classes(classes_of(self._sigma, np.float32(step)), out.shape[0])
        scale = self._scale(step, columns, bool(flags & _HAS_OFFSETS))
        block = Block.unpack(data[_HEAD.size : end], columns)
        restore(block, scale, out.dtype, out)
        if flags & _HAS_EXACT_VALUES:
            read_exact_values(data[end:], out)
