"""Video codecs on one plane, as LaMoFC's baseline: values clipped to a range, ten bits, one intra frame.

The encoders are those in the ffmpeg that imageio-ffmpeg brings: VVenC, whose streams ffmpeg decodes itself, and x265.
Both need colour, which is constant here and costs a few bytes. Every stream is coded and decoded by its own process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.codec import Codec, check_channels, require, target_of
from lamofc_codecs.errors import BadQuality, CodecError, CorruptRecord, UnsupportedInput
from lamofc_codecs.options import Options
from lamofc_codecs.plane import (
    PlaneParts,
    Range,
    checked_ranges,
    columns_of,
    range_to_json,
    ranges_for,
    separate,
    side_by_side,
)
from lamofc_codecs.profile import Profile
from lamofc_codecs.published import BITS
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import LARGEST_HALF, Floats, convert
from lamofc_codecs.source import Encoding, Source
from lamofc_codecs.stats import NO_DISTORTION, Bulk, collect_statistics, measure_distortion, total_distortion
from lamofc_codecs.video.ffmpeg import run

Pixels = NDArray[np.uint16]
_LEVELS = (1 << BITS) - 1
_MIN_SIDE, _SIDE_MULTIPLE = 16, 8
"""Fewest rows and columns of a frame, and the number that both are multiples of."""
_GREY = 1 << (BITS - 1)
_MARGIN = 256
"""Rows and columns that a decoder may count beyond the frame's."""
_DEFAULT_QP = 32
_STREAM_TOO_LONG = ("Error encoding a frame", "Error submitting video frame")
Preset = Literal["faster", "fast", "medium", "slow", "slower"]
_X265 = "keyint=1:log-level=none:pools=1:frame-threads=1:tune=psnr:aq-mode=0:cutree=0:psy-rd=0:psy-rdoq=0:info=0"


@dataclass(frozen=True)
class VideoOptions(Options):
    """Options of `fit("vvc", ...)` and `fit("hevc", ...)`."""

    preset: Preset = "medium"
    """Effort of the encoder."""
    range: Any = None
    """Lowest and highest value that is coded, or such a pair for each feature of a group; by default those of the
    samples' bulk."""
    rounding: Literal["nearest", "floor"] = "nearest"
    """Whether a value becomes the nearest level or, as in the published code, the one below it."""
    truncation: str | None = None
    """A task of LaMoFC's Table 4, whose range is used; or a coder of it alone, the task being that of the feature."""

    config_keys: ClassVar[Mapping[str, tuple[str, ...]]] = {"truncation": ("range",)}

    def to_json(self) -> dict[str, Any]:
        """Return the options as a profile's config holds them, without the range if the samples decide it."""
        ends = ranges_for(self.range, self.truncation, ())
        return {"preset": self.preset, "rounding": self.rounding, **range_to_json(ends)}

    def for_features(self, features: Sequence[str]) -> Self:
        """Return the options with the range that the truncation has for features."""
        if not features or self.truncation is None:
            return self
        return replace(self, range=ranges_for(self.range, self.truncation, features), truncation=None)


class Video(Codec):
    """Codec of one plane as one intra frame, whose rate follows from the quantisation parameter."""

    qualities = ("qp",)
    options = VideoOptions
    container: ClassVar[str]
    """Ffmpeg's name of the stream's format."""

    @classmethod
    def fit(cls, samples: Iterable[Tensor], quality: Quality | None, options: VideoOptions) -> Profile:
        """Fit the range to the bulk, unless the options set one."""
        parts, columns = separate(samples)
        collected = [collect_statistics(column) for column in columns]
        bulks = [statistics.finish()[0] for statistics in collected]
        bulk, given = side_by_side(bulks), options.to_json()
        if "range" not in given:
            values = (statistics.values() for statistics in collected)
            given |= range_to_json([_range_of(own, bulk) for own, bulk in zip(values, bulks, strict=True)])
        checked_ranges(given["range"], parts.count)
        config = {
            **given,
            **parts.to_json(),
            "channels": len(bulk.mean),
            "quality": (quality or Quality(qp=_DEFAULT_QP)).to_json(),
        }
        return _checked(Profile(cls.id, config, bulk.tensors()))

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        _checked(profile)
        self._parts = PlaneParts.of(profile.config)
        self._ranges = checked_ranges(profile.config["range"], self._parts.count)
        self._preset, self._floor = profile.config["preset"], profile.config["rounding"] == "floor"
        self._bulk = Bulk.required(profile)
        check_channels(profile, self._bulk)

    def encode(self, source: Source, quality: Quality | None) -> Encoding:
        """Clip to the range, quantise, and code the plane with ffmpeg."""
        source = source.for_lossy(self.id, len(self._bulk.mean))
        qp = target_of(self, quality).value
        if qp != int(qp) or not 0 <= qp <= 63:
            raise BadQuality(f"qp={qp:g}", "give a whole number from 0 to 63; papers use 22 to 42")
        if not source.values.size:
            return Encoding((b"",), part_errors=((NO_DISTORTION,) * self._parts.count,))
        try:
            stream = run(self._encoder(int(qp), _sides(source.values.shape)), _frame(self._numbers(source.values)))
        except CodecError as error:
            if not any(sign in error.message for sign in _STREAM_TOO_LONG):
                raise
            return Encoding((b"",), reached=False)  # VVenC gives up on a stream that is longer than its frame
        decoded = [torch.empty_like(tensor) for tensor in source.tensors]
        self.decode_parts([memoryview(stream)], [tensor.shape[1] for tensor in decoded], decoded)
        errors = tuple(
            measure_distortion(source.part(part), convert(own, torch.float32).numpy(), bulk)
            for part, (own, bulk) in enumerate(zip(decoded, self._parts.bulks(self._bulk), strict=True))
        )
        return Encoding((stream,), (total_distortion(errors),), part_errors=(errors,))

    def part_names(self) -> tuple[str, ...]:
        """Return the features that lie side by side in a frame."""
        return self._parts.names

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Decode the frame, and map its pixels back to values."""
        self.decode_parts(layers, (out.shape[1],), (out,))

    def decode_parts(
        self, layers: Sequence[memoryview], channels: Sequence[int], outs: Sequence[Tensor | None]
    ) -> None:
        """Decode the frame, and map the pixels of the requested features back to values."""
        self._parts.check_widths(channels)
        data, shape = layers[0], (next((len(out) for out in outs if out is not None), 0), sum(channels))
        if not shape[0] * shape[1]:
            require(not len(data) or not any(out is not None for out in outs), "a stream for an empty tensor")
            return
        rows, columns = _sides(shape)
        max_pixels = (rows + _MARGIN) * (columns + _MARGIN)
        read = ["-max_pixels", str(max_pixels), "-threads", "1", "-err_detect", "explode", "-f", self.container]
        write = ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p10le"]
        try:
            frame = run([*read, "-i", "pipe:0", *write], bytes(data))
        except CodecError as error:
            raise CorruptRecord(f"a stream of {len(data)} bytes is refused: {error}") from error
        require(len(frame) == rows * columns * 3, f"a frame of {len(frame)} bytes, not one of {rows} x {columns}")
        pixels = np.frombuffer(frame[: 2 * rows * columns], "<u2").reshape(rows, columns)[: shape[0], : shape[1]]
        require(int(pixels.max()) <= _LEVELS, f"a pixel of {int(pixels.max())}")
        for ends, part, target in zip(self._ranges, self._parts.columns(shape[1]), outs, strict=True):
            if target is not None:
                _restore(pixels[:, part], ends, target)

    def quantise(self, tensor: Tensor) -> Tensor:
        """Replace each value by its level; `tensor` holds the features of a group in a row."""
        out = torch.empty_like(tensor, memory_format=torch.contiguous_format)
        numbers = self._numbers(convert(tensor.contiguous(), torch.float32).numpy())
        for ends, columns in zip(self._ranges, self._parts.columns(tensor.shape[1]), strict=True):
            _restore(numbers[:, columns], ends, out[:, columns])
        return out

    def _numbers(self, values: Floats) -> Pixels:
        parts = zip(self._ranges, columns_of(values, self._parts), strict=True)
        return np.concatenate([_quantised(own, ends, floor=self._floor) for ends, own in parts], 1)

    def _encoder(self, qp: int, sides: tuple[int, int]) -> list[str]:
        size = f"{sides[1]}x{sides[0]}"
        read = ["-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", size, "-r", "1", "-i", "pipe:0", "-frames:v", "1"]
        return [*read, *self._settings(qp, self._preset), "-f", self.container]

    @staticmethod
    def _settings(qp: int, preset: str) -> list[str]:
        """Return ffmpeg's options for the encoder."""
        raise NotImplementedError

    @staticmethod
    def _is_slice(unit: bytes) -> bool:
        """Say whether a unit of a stream holds pixels."""
        raise NotImplementedError

    @classmethod
    def overhead(cls, layer: bytes) -> int:
        """Count the bytes of a stream that hold no pixels: parameter sets, messages, start codes of all units."""
        units = layer.split(b"\0\0\1")[1:]
        return len(layer) - sum(len(unit) for unit in units if len(unit) > 2 and cls._is_slice(unit))


class Vvc(Video):
    """VVC intra at ten bits, coded by VVenC without perceptual tuning.

    Options: `truncation`, a task of LaMoFC's Table 4, such as cls or dpt.2; or `range`, two numbers; by default the
    range of the samples' bulk. `rounding`, nearest or, as in the published code, floor. `preset`, faster to slower.
    """

    id = "vvc"
    number = 7
    summary = "LaMoFC: cut off to a range, ten bits, VVC intra"
    container = "vvc"

    @staticmethod
    def _settings(qp: int, preset: str) -> list[str]:
        return ["-c:v", "libvvenc", "-qp", str(qp), "-qpa", "0", "-preset", preset, "-threads", "1"]

    @staticmethod
    def _is_slice(unit: bytes) -> bool:
        return unit[1] >> 3 < 12


class Hevc(Video):
    """HEVC intra at ten bits, coded by x265 without perceptual tuning.

    Options: as for vvc.
    """

    id = "hevc"
    number = 8
    summary = "as vvc, coded by x265: a worse rate in a tenth of the time"
    container = "hevc"

    @staticmethod
    def _settings(qp: int, preset: str) -> list[str]:
        return ["-c:v", "libx265", "-qp", str(qp), "-preset", preset, "-x265-params", _X265]

    @staticmethod
    def _is_slice(unit: bytes) -> bool:
        return unit[0] >> 1 < 32


def _checked(profile: Profile) -> Profile:
    """Return the profile, or refuse a config that this codec did not write."""
    config, keys = profile.config, {"channels", "preset", "quality", "range", "rounding"}
    if set(config) - {"parts"} != keys:
        raise UnsupportedInput(f"config {dict(config)!r}", "fit the profile again")
    checked_ranges(config["range"], PlaneParts.of(config).count)
    if config["preset"] not in get_args(Preset) or config["rounding"] not in ("nearest", "floor"):
        raise UnsupportedInput(
            f"preset={config['preset']!r}, rounding={config['rounding']!r}",
            f"preset: one of {', '.join(get_args(Preset))}; rounding: nearest or floor",
        )
    return profile


def _range_of(values: Floats, bulk: Bulk) -> Range:
    """Return the least and the largest of the values that are in the bulk."""
    inside = values[~bulk.outside(values)]
    ends = float(inside.min(initial=0)), float(inside.max(initial=0))
    return (ends[0] - 0.5, ends[1] + 0.5) if ends[0] == ends[1] else ends  # equal in a constant feature


def _quantised(values: Floats, ends: Range, *, floor: bool) -> Pixels:
    """Clip values to a range, and return their levels."""
    low, high = ends
    scaled = (values.clip(low, high).astype(np.float64) - low) / ((high - low) / _LEVELS)
    rounded = np.floor(scaled) if floor else np.rint(scaled)
    numbers: Pixels = rounded.clip(0, _LEVELS).astype(np.uint16)
    return numbers


def _restore(pixels: Pixels, ends: Range, out: Tensor) -> None:
    """Fill `out` with the values of levels."""
    low, high = ends
    levels = (low + np.arange(_LEVELS + 1) * ((high - low) / _LEVELS)).astype(np.float32)
    if out.dtype == torch.float16:
        levels = levels.clip(-LARGEST_HALF, LARGEST_HALF)
    out.copy_(torch.from_numpy(levels[pixels]))


def _sides(shape: Sequence[int]) -> tuple[int, int]:
    """Return the rows and columns of the frame."""
    rows, columns = (max(_MIN_SIDE, -(-side // _SIDE_MULTIPLE) * _SIDE_MULTIPLE) for side in shape)
    return rows, columns


def _frame(pixels: Pixels) -> bytes:
    """Return the bytes of a plane that is padded with its edge, and of two planes of grey."""
    rows, columns = _sides(pixels.shape)
    filled = np.pad(pixels, ((0, rows - pixels.shape[0]), (0, columns - pixels.shape[1])), mode="edge")
    return filled.astype("<u2").tobytes() + np.full(rows * columns // 2, _GREY, "<u2").tobytes()
