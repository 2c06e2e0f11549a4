"""Uniform quantiser: one step for all channels, each with the entropy table of its own spread.

In steps it aims at a quality, sample by sample. In bits it is the b-bit quantiser over a fixed range that published
work on feature coding uses; its grid then does not depend on the sample.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.codec import Codec
from lamofc_codecs.entropy import CLASSES, SIGMA_TABLES, classes_of, read_exact_values, write_exact_values
from lamofc_codecs.errors import BadQuality, CodecError, CorruptRecord
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Floats, convert
from lamofc_codecs.source import Coded, Source
from lamofc_codecs.stats import Bulk, collect_statistics, measure_distortion
from lamofc_codecs.uniform.block import Block, Columns
from lamofc_codecs.uniform.options import UniformOptions
from lamofc_codecs.uniform.quantiser import OPEN, Scale, drawn_inwards, fit_shrink, quantise, restore
from lamofc_codecs.uniform.rate_control import RateControl, Tried
from lamofc_codecs.uniform.rate_estimate import Entries

_HEAD = struct.Struct("<fBI")
_SHRUNK, _EXACT = 1, 2
_FINEST = 2.0**-100
"""Steps and their inverses stay well within float32."""


class Uniform(Codec):
    """The nearest multiple of one step, about each channel's mean."""

    id = "uniform"
    number = 2
    summary = "one step for all channels, an entropy table by each channel's spread"
    qualities = ("snr_db", "mse", "bpfp", "step", "max_error")
    options = (*UniformOptions.__dataclass_fields__, "truncation")

    @classmethod
    def fit(cls, samples: Iterable[Tensor], quality: Quality | None = None, **options: object) -> Profile:
        """Fit the channels' means and spreads; the options are the fields of `UniformOptions`."""
        cls.check_quality(quality)
        cls.check_options(options)
        chosen = UniformOptions.of(options)
        if chosen.bits is not None and quality is not None:
            raise BadQuality(f"bits={chosen.bits} fixes the step, {quality} cannot be aimed at", "give one of the two")
        collected = collect_statistics(samples, skip_nonfinite=chosen.nonfinite == "exact")
        bulk, sigma = collected.finish()
        shrink = fit_shrink(collected.values(), bulk, sigma)
        channels = {"channels": len(sigma)}
        config = {
            **channels,
            **chosen.to_json(),
            "tables": SIGMA_TABLES,
            "quality": quality.to_json() if quality else None,
        }
        tensors = {"sigma": torch.from_numpy(sigma), "shrink": torch.from_numpy(shrink), **bulk.tensors()}
        return Profile(cls.id, config, tensors)

    @classmethod
    def recorded(cls, options: Mapping[str, object]) -> dict[str, object]:
        """What a profile's config tells of options."""
        told = UniformOptions.of(options).to_json()
        named = {"bits", "range"} if options.get("truncation") is not None else set()
        return {name: told[name] for name in told if name in options or name in named}

    @classmethod
    def takes(cls, options: Mapping[str, object]) -> tuple[str, ...]:
        """Targets that it takes; none where bits fix the step."""
        return () if options.get("bits") or options.get("truncation") else cls.qualities

    def __init__(self, profile: Profile) -> None:
        self.check_profile(profile)
        config = dict(profile.config)
        tables, quality, _ = (config.pop(name, None) for name in ("tables", "quality", "channels"))
        if tables != SIGMA_TABLES:
            raise CodecError(
                f"profile {profile.id[:12]} wants tables {tables}, not {SIGMA_TABLES}", "upgrade lamofc-store"
            )
        self._quality = Quality.from_json(quality) if quality else None
        self._bulk = Bulk.required(profile)
        self.check_width(profile, self._bulk)
        self.check_options(config)
        self._options = UniformOptions.of(config)
        self._sigma: Floats = profile.tensor("sigma", torch.float32, len(self._bulk.mean)).numpy()
        self._drawn = drawn_inwards(profile.tensor("shrink", torch.uint8, CLASSES).numpy())
        self._middle = self._options.middles(self._bulk.mean)

    @property
    def bulk(self) -> Bulk:
        """Where the profile's bulk lies."""
        return self._bulk

    def encode(self, source: Source, quality: Quality | None = None) -> Coded:
        """Quantise with the step that meets the quality, or else the profile's."""
        options = self._options
        self.check_quality(quality)
        self.check_lossy(source, len(self._sigma), exact=options.nonfinite == "exact")
        quality = quality or self._quality
        if quality is None and options.bits is None:
            raise BadQuality(
                f"profile fitted with quality {quality}, and none given", "give one, as Quality(snr_db=15)"
            )
        if options.bits is not None and quality is not None:
            raise BadQuality(
                f"bits={options.bits} fixes the step, {quality} cannot be aimed at", "leave the quality out"
            )
        if not source.values.size:
            return Coded((b"",))
        values = options.clipped(source.values)
        if quality is None:
            return self._pack(source, self._try(source, values, options.step, shrunk=False), shrunk=False)
        shrunk = quality.kind != "max_error"
        aim = RateControl(
            quality, source, Entries.of(values, self._middle, self._bulk), self._sigma, self._drawn * shrunk
        )
        tried = aim.meet(lambda step: self._try(source, values, step, shrunk=shrunk))
        if quality.kind == "max_error":
            tried = tried.keeping_exact(source, self._bulk, quality.value)
        return self._pack(source, tried, shrunk=shrunk)

    def _scale(self, step: float, columns: Columns, shrunk: bool) -> Scale:
        drawn = self._drawn if shrunk else np.zeros_like(self._drawn)
        return Scale(self._middle, np.float32(step), drawn[columns.classes])

    def _try(self, source: Source, values: Floats, step: float, *, shrunk: bool) -> Tried:
        step = min(max(step, _FINEST), 1 / _FINEST)
        columns = Columns.of(classes_of(self._sigma, np.float32(step)), source.tokens)
        scale = self._scale(step, columns, shrunk)
        bounds = self._options.range if self._options.outside == "exact" and self._options.range else OPEN
        quantised = quantise(values, scale, columns, bounds)
        decoded = restore(quantised.block, scale, source.tensor.dtype)
        exact = torch.from_numpy(quantised.exact)
        decoded.view(-1)[exact] = source.tensor.view(-1)[exact]
        found = measure_distortion(source.values, convert(decoded, torch.float32).numpy(), self._bulk)
        return Tried(float(scale.step), quantised.block, quantised.exact, decoded, found)

    def _pack(self, source: Source, tried: Tried, *, shrunk: bool) -> Coded:
        block = tried.block.pack()
        flags = _SHRUNK * shrunk | _EXACT * bool(len(tried.exact))
        outliers = write_exact_values(tried.exact, source.tensor) if len(tried.exact) else b""
        section = b"".join((_HEAD.pack(tried.step, flags, len(block)), block, outliers))
        return Coded((section,), (tried.distortion,), tried.reached)

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Fill `out` from the one layer."""
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
            or flags > _SHRUNK | _EXACT
            or end > len(data)
            or (end < len(data)) != bool(flags & _EXACT)
        ):
            raise CorruptRecord(f"step {step}, flags {flags} and a block of {size} bytes in a section of {len(data)}")
        columns = Columns.of(classes_of(self._sigma, np.float32(step)), out.shape[0])
        scale = self._scale(step, columns, bool(flags & _SHRUNK))
        block = Block.unpack(data[_HEAD.size : end], columns)
        restore(block, scale, out.dtype, out)
        if flags & _EXACT:
            read_exact_values(data[end:], out)
