"""The native codec: token means off, channels decorrelated, one step for all, any rate on read.

Values become columns of falling variance, each token its energy class, each column its spread. Whole numbers of steps
are coded in layers whose steps differ by a factor of three, coarse first; a prefix of the layers is a record of a lower
rate. Entries out of the bulk are kept as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.codec import Codec, require
from lamofc_codecs.entropy import read_exact_parts, write_exact_parts
from lamofc_codecs.errors import BadQuality, UnsupportedInput
from lamofc_codecs.klt.decode import pooled, synthesise
from lamofc_codecs.klt.encode import SampleEncoder, equalise_items, keep_rows
from lamofc_codecs.klt.fit import fit_profile
from lamofc_codecs.klt.format import KltOptions, KltParameters, read_layers, read_start, write_layers
from lamofc_codecs.klt.gpu import decode_together
from lamofc_codecs.klt.transform import digest_of
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.record import Buffer, parse, sections
from lamofc_codecs.runtime import Doubles
from lamofc_codecs.source import Coded, DecodeRequest, PartShape, Source
from lamofc_codecs.stats import NO_DISTORTION, Bulk, total_distortion

_MANY = 1 / 1024
"""A share of entries out of the bulk above which it is tried whether keeping them in is cheaper."""


class Klt(Codec):
    """Decorrelates channels, takes off token means, and codes in layers; a copy at 20 dB is one at 11 and 5 dB, too."""

    id = "klt"
    number = 4
    summary = "channels decorrelated, token means off, layers for any rate on read"
    qualities = ("snr_db", "mse", "bpfp", "step", "max_error")
    layered = True
    separable = True
    options = tuple(KltOptions.__dataclass_fields__)

    @classmethod
    def fit(cls, samples: Iterable[Any], quality: Quality | None = None, **options: object) -> Profile:
        """Fit means, transform and spreads; the options are the fields of `KltOptions`."""
        cls.check_quality(quality)
        cls.check_options(options)
        weight = options.get("weight")
        if weight is not None and not isinstance(weight, Tensor):
            raise UnsupportedInput(f"weight={weight!r}", "give a tensor: a weight for each channel, or rows of them")
        return fit_profile(samples, quality, KltOptions.of(cls.recorded(options)), weight)

    @classmethod
    def options_for(cls, feature: str, options: Mapping[str, object]) -> Mapping[str, object]:
        """A weight for each of several features is that of this one, or none."""
        weight = options.get("weight")
        if not isinstance(weight, Mapping):
            return options
        rest = {name: value for name, value in options.items() if name != "weight"}
        return {**rest, "weight": weight[feature]} if feature in weight else rest

    @classmethod
    def recorded(cls, options: Mapping[str, object]) -> dict[str, object]:
        """Options as a profile's config tells them: a weight by its digest."""
        weight = options.get("weight")
        told = {"weight": digest_of(weight)} if isinstance(weight, Tensor) else {}
        return {**options, **told}

    def __init__(self, profile: Profile) -> None:
        self.check_profile(profile)
        self.known = KltParameters.of(profile)

    @property
    def bulk(self) -> Bulk:
        """Where the profile's bulk lies."""
        return self.known.bulk

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the features that it codes together."""
        return tuple(name for name, _ in self.known.parts)

    def encode(self, source: Source, quality: Quality | None = None) -> Coded:
        """Code with the step that meets the quality, or else the profile's."""
        known = self.known
        self.check_quality(quality)
        self.check_lossy(source, known.channels, exact=known.options.nonfinite == "exact")
        quality = quality or known.quality
        if quality is None:
            raise BadQuality(
                f"profile fitted with quality {quality}, and none given", "give one, as Quality(snr_db=15)"
            )
        if not source.values.size:
            return Coded((b"",), part_errors=((NO_DISTORTION,) * len(known.parts),))
        outside = known.bulk.outside(source.values)
        coded = self._encode(source, outside, quality)
        if source.sums.signal > 0 and outside.size * _MANY < outside.sum() < outside.size / 2:
            kept = self._encode(source, ~np.isfinite(source.values), quality)
            if (not kept.reached, sum(map(len, kept.layers))) < (not coded.reached, sum(map(len, coded.layers))):
                return kept
        return coded

    def _encode(self, source: Source, outside: NDArray[np.bool_], quality: Quality) -> Coded:
        sample = SampleEncoder.of(source, outside, self.known, quality)
        trial, reached = sample.meet(quality)
        sample, trial = equalise_items(sample, trial)
        exact = write_exact_parts(trial.exact, source.tensors) if any(map(len, trial.exact)) else b""
        coded = list(zip(trial.numbers, trial.runs, strict=True))
        layers = write_layers(trial.cut, coded, sample.side(trial.tokens), self.known, exact, source.nbytes >> 17)
        errors, several = sample.errors(trial), len(source.items) > 1
        whole = tuple(map(total_distortion, errors))
        return Coded(layers, whole, reached, () if several else errors, errors if several else ())

    def keep(self, layers: Sequence[memoryview], whole: Tensor, rows: NDArray[np.int64]) -> Sequence[bytes]:
        """The numbers of those rows, coded anew; of no row none."""
        return keep_rows(layers, whole, rows, self.known)

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Fill `out` from the layers that are there."""
        self.decode_parts(layers, (out.shape[1],), (out,))

    def decode_parts(
        self, layers: Sequence[memoryview], channels: Sequence[int], outs: Sequence[Tensor | None]
    ) -> None:
        """Fill the features of a group that are wanted."""
        known = self.known
        tokens = next((len(out) for out in outs if out is not None), 0)
        if not tokens or not sum(channels):
            require(not any(map(len, layers)) or not any(out is not None for out in outs), "layers of an empty tensor")
            return
        read = read_layers(layers, tokens, channels, known)
        synthesise(read.level, known, read.side, outs)
        if len(read.exact):
            read_exact_parts(read.exact, outs)

    def pooled(
        self, layers: Sequence[memoryview], like: Sequence[PartShape], parts: Sequence[int], weights: Doubles
    ) -> list[Tensor] | None:
        """Numbers are added up, and only sums transformed."""
        if not len(weights) or not any(one.channels for one in like):
            return None
        read = read_layers(layers, len(weights), [one.channels for one in like], self.known)
        return pooled(read, self.known, [one.dtype for one in like], parts, weights)

    def decode_on_device(self, requests: Sequence[DecodeRequest], device: torch.device) -> list[list[Tensor]]:
        """Decode a batch in a few launches, to the same values as on the CPU."""
        return decode_together(requests, self.known, device)


def levels_of(record: Buffer) -> tuple[int, ...]:
    """How many layers each level of a record has, coarse first; what ends with a level is as good as if made so."""
    header = parse(record)
    first = sections(record, header)[0]
    if header.number != Klt.number or not len(first):
        return (1,)
    return (1, *(len(cut.stages) for cut in read_start(first)[2]))
