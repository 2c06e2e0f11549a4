"""The native codec: centred tokens, a codebook of them, decorrelated channels, one step, any rate on read.

Values become columns of falling variance; each token has an energy class and each column a spread. Levels are coded in
layers whose steps differ by a factor of three, coarse first, and a prefix of the layers is a record of a lower rate.
Entries outside the bulk are stored as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.abilities import Settled
from lamofc_codecs.codec import Codec, require, target_of
from lamofc_codecs.entropy import read_exact_parts
from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.klt.decode import Reconstruction, pooled, reconstruct
from lamofc_codecs.klt.encode import encode_source, keep_rows, not_finite, outside_bulk
from lamofc_codecs.klt.fit import fit_profile, moved_to_start, settle_rotary
from lamofc_codecs.klt.format import KltOptions, KltParameters, ReadLayers, read_layers, read_start
from lamofc_codecs.klt.gpu import decode_together
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Doubles
from lamofc_codecs.source import DecodeRequest, Encoding, PartShape, Source
from lamofc_codecs.stats import NO_DISTORTION

_MIN_SHARE_OUTSIDE = 1 / 1024
"""Share of entries outside the bulk from which it is tried whether coding them with the others takes fewer bytes."""


class Klt(Codec):
    """Decorrelates channels, takes off token means, and codes in layers; a copy at 20 dB is one at 11 and 5 dB, too."""

    id = "klt"
    number = 4
    summary = "channels decorrelated, token means off, layers for any rate on read"
    qualities: tuple[str, ...] = ("snr_db", "mse", "bpfp", "step", "max_error", "kl")
    options = KltOptions

    @classmethod
    def fit(cls, samples: Iterable[Any], quality: Quality | None, options: KltOptions) -> Profile:
        """Fit the token codebook, the transform and the spreads, on tensors or on mappings of features."""
        return cls.fit_gradually(samples, quality, options, lambda share: None)

    @classmethod
    def fit_gradually(
        cls, samples: Iterable[Any], quality: Quality | None, options: KltOptions, progress: Callable[[float], None]
    ) -> Profile:
        """Fit, and tell the share of the work that is done."""
        if isinstance(options.weight, str):
            raise UnsupportedInput(
                f"weight={options.weight!r}", "give a tensor: a weight for each channel, or rows of them"
            )
        try:
            return fit_profile(samples, quality, options, progress)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            raise UnsupportedInput(
                "the samples to fit have no usable covariance: the squares of their values are beyond float32",
                "scale them, or use codec uniform or raw",
            ) from error

    @classmethod
    def at_start(cls, sample: Any, first_position: int, options: KltOptions) -> Any:
        """Turn keys back by the position of their first token."""
        return moved_to_start(sample, first_position, options)

    @classmethod
    def settle(
        cls,
        samples: Iterable[Any],
        first_positions: Sequence[int] | None,
        features: Sequence[str],
        quality: Quality | None,
        options: KltOptions,
    ) -> Settled:
        """Find the rotary positions of keys that nobody states."""
        return settle_rotary(samples, first_positions, features, quality, options)

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self.parameters = KltParameters.from_profile(profile)
        self.qualities = self.parameters.options.targets(self.qualities)

    def part_names(self) -> tuple[str, ...]:
        """Return the features that the profile codes jointly."""
        return tuple(name for name, _ in self.parameters.parts)

    def has_baseline(self) -> bool:
        """Say that the rate can be compared: always but where errors are weighed, which costs plain squared error."""
        return self.config.get("weight") is None

    def gains_from_blocks(self, tokens: int) -> bool:
        """Say yes for vectors; several tokens on a grid are transformed along it, which a block would prevent."""
        return tokens <= 1 or self.parameters.grid_rule is None

    def encode(self, source: Source, quality: Quality | None) -> Encoding:
        """Code with the step that meets the quality."""
        parameters = self.parameters
        exact = parameters.options.nonfinite == "exact"
        source = source.for_lossy(self.id, parameters.channels, exact=exact)
        target = target_of(self, quality)
        if not source.size:
            return Encoding((b"",), part_errors=((NO_DISTORTION,) * len(parameters.parts),))
        outside = outside_bulk(source, parameters.space)
        encoding = encode_source(source, outside, parameters, target)
        if source.sums.signal > 0 and outside.size * _MIN_SHARE_OUTSIDE < outside.sum() < outside.size / 2:
            other = encode_source(source, not_finite(source), parameters, target)
            return min(encoding, other, key=lambda tried: (not tried.reached, sum(map(len, tried.layers))))
        return encoding

    def weigh_errors(self, errors: Tensor, positions: NDArray[np.int64]) -> Tensor:
        """Return the errors of values in the space of the columns."""
        return torch.from_numpy(self.parameters.space.weigh_errors(errors.numpy().copy(), positions))

    def weigh_gradient(self, gradient: Tensor, positions: NDArray[np.int64]) -> Tensor:
        """Return the gradient in the space of the columns."""
        return torch.from_numpy(self.parameters.space.weigh_gradient(gradient.numpy().copy(), positions))

    def keep(self, layers: Sequence[memoryview], decoded: Tensor, rows: NDArray[np.int64]) -> Sequence[bytes]:
        """Code the levels of those rows anew."""
        return keep_rows(layers, decoded, rows, self.parameters)

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Fill `out` from the layers that are there."""
        self.decode_parts(layers, (out.shape[1],), (out,))

    def decode_parts(
        self, layers: Sequence[memoryview], channels: Sequence[int], outs: Sequence[Tensor | None]
    ) -> None:
        """Fill the requested features of a group."""
        tokens = next((len(out) for out in outs if out is not None), None)
        if tokens is not None and _holds_values(tokens, channels, layers):
            self._restore([(read_layers(layers, tokens, channels, self.parameters), outs)])

    def decode_batch(self, requests: Sequence[DecodeRequest], outs: Sequence[Sequence[Tensor | None]]) -> None:
        """Fill the requested features of records, whose tokens are transformed together."""
        filled = [
            (read_layers(request.layers, request.tokens, request.channels, self.parameters), own)
            for request, own in zip(requests, outs, strict=True)
            if any(out is not None for out in own) and _holds_values(request.tokens, request.channels, request.layers)
        ]
        self._restore(filled)

    def pool(
        self, layers: Sequence[memoryview], shapes: Sequence[PartShape], parts: Sequence[int], weights: Doubles
    ) -> list[Tensor]:
        """Sum the levels over the tokens first: the inverse transform is linear, so it runs once for each row."""
        read = read_layers(layers, len(weights), [shape.channels for shape in shapes], self.parameters)
        rows = pooled(read, self.parameters, [shape.dtype for shape in shapes], parts, weights)
        if rows is not None:
            return rows
        outs = [torch.empty(len(weights), shape.channels, dtype=shape.dtype) for shape in shapes]
        self._restore([(read, [out if part in parts else None for part, out in enumerate(outs)])])
        factors = torch.from_numpy(weights).to(torch.float32).T
        return [factors @ outs[part].to(torch.float32) for part in parts]

    def _restore(self, records: Sequence[tuple[ReadLayers, Sequence[Tensor | None]]]) -> None:
        """Fill tensors from the levels and the exact values of each record."""
        reconstruct([Reconstruction(read.level, read.side, outs) for read, outs in records], self.parameters)
        for read, outs in records:
            if len(read.exact):
                read_exact_parts(read.exact, outs)

    def decode_on_device(self, requests: Sequence[DecodeRequest], device: torch.device) -> list[list[Tensor]]:
        """Decode a batch in a few launches, to the same values as on the CPU."""
        return decode_together(requests, self.parameters, device)

    @classmethod
    def layers_per_level(cls, first_layer: memoryview) -> tuple[int, ...]:
        """Read how each refinement level is cut into layers."""
        return (1, *(len(split.passes) for split in read_start(first_layer)[2]))


def _holds_values(tokens: int, channels: Sequence[int], layers: Sequence[memoryview]) -> bool:
    """Say whether a record has any values; the layers of one that has none are empty."""
    if tokens and sum(channels):
        return True
    require(not any(map(len, layers)), "layers of an empty tensor")
    return False
