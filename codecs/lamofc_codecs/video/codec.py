"""Video codecs on one plane, as LaMoFC's baseline: values clipped to a range, ten bits, one intra frame.

The encoders are those in the ffmpeg that imageio-ffmpeg brings: VVenC, whose streams ffmpeg decodes itself, and x265.
Both need colour, which is constant here and costs a few bytes. VTM, which needs none, codes where its path is given.
Every stream is coded and decoded by its own process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, get_args

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.codec import Codec, check_channels, require, target_of
from lamofc_codecs.errors import BadQuality, CodecError, CorruptRecord, UnsupportedInput
from lamofc_codecs.plane import (
    PlaneParts,
    Range,
    checked_ranges,
    columns_of,
    range_to_json,
    separate,
    side_by_side,
)
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Floats, convert
from lamofc_codecs.source import Encoding, Source
from lamofc_codecs.stats import NO_DISTORTION, Bulk, collect_statistics, measure_distortion, total_distortion
from lamofc_codecs.video import vtm
from lamofc_codecs.video.ffmpeg import run
from lamofc_codecs.video.frame import LEVELS, Pixels, frame_bytes, frame_sides, quantise_values, restore_values
from lamofc_codecs.video.options import Preset, VideoOptions, VvcOptions

_MARGIN = 256
"""Rows and columns that a decoder may count beyond the frame's."""
_DEFAULT_QP = 32
_STREAM_TOO_LONG = ("Error encoding a frame", "Error submitting video frame")
_X265 = "keyint=1:log-level=none:pools=1:frame-threads=1:tune=psnr:aq-mode=0:cutree=0:psy-rd=0:psy-rdoq=0:info=0"


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
            stream = self._coded(self._numbers(source.values), int(qp))
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
        rows, columns = frame_sides(shape)
        try:
            frame = self._decoded(bytes(data), (rows, columns))
        except CodecError as error:
            raise CorruptRecord(f"a stream of {len(data)} bytes is refused: {error}") from error
        require(len(frame) == 2 * rows * columns, f"a frame of {len(frame)} bytes, not one of {rows} x {columns}")
        pixels = np.frombuffer(frame, "<u2").reshape(rows, columns)[: shape[0], : shape[1]]
        require(int(pixels.max()) <= LEVELS, f"a pixel of {int(pixels.max())}")
        for ends, part, target in zip(self._ranges, self._parts.columns(shape[1]), outs, strict=True):
            if target is not None:
                restore_values(pixels[:, part], ends, target)

    def quantise(self, tensor: Tensor) -> Tensor:
        """Replace each value by its level; `tensor` holds the features of a group in a row."""
        out = torch.empty_like(tensor, memory_format=torch.contiguous_format)
        numbers = self._numbers(convert(tensor.contiguous(), torch.float32).numpy())
        for ends, columns in zip(self._ranges, self._parts.columns(tensor.shape[1]), strict=True):
            restore_values(numbers[:, columns], ends, out[:, columns])
        return out

    def _numbers(self, values: Floats) -> Pixels:
        parts = zip(self._ranges, columns_of(values, self._parts), strict=True)
        return np.concatenate([quantise_values(own, ends, floor=self._floor) for ends, own in parts], 1)

    def _coded(self, pixels: Pixels, qp: int) -> bytes:
        """Code a frame."""
        return run(self._encoder(qp, frame_sides(pixels.shape)), frame_bytes(pixels))

    def _decoded(self, stream: bytes, sides: tuple[int, int]) -> bytes:
        """Decode a frame to its luma, two bytes a pixel; what the stream has of colour is left out."""
        max_pixels = (sides[0] + _MARGIN) * (sides[1] + _MARGIN)
        read = ["-max_pixels", str(max_pixels), "-threads", "1", "-err_detect", "explode", "-f", self.container]
        write = ["-frames:v", "1", "-vf", "extractplanes=y", "-f", "rawvideo", "-pix_fmt", "gray10le"]
        return run([*read, "-i", "pipe:0", *write], stream)

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
    """VVC intra at ten bits, coded by VVenC without perceptual tuning, or by VTM as LaMoFC runs it.

    Options: `truncation`, a task of LaMoFC's Table 4, such as cls or dpt.2; or `range`, two numbers; by default the
    range of the samples' bulk. `rounding`, nearest or, as in the published code, floor. `preset`, faster to slower, of
    VVenC. `vtm`, the path of VTM's EncoderApp, which then codes; the profile names its version.
    """

    id = "vvc"
    number = 7
    summary = "LaMoFC: cut off to a range, ten bits, VVC intra"
    container = "vvc"
    options = VvcOptions

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self._vtm: str | None = profile.config.get("encoder")

    def _coded(self, pixels: Pixels, qp: int) -> bytes:
        if self._vtm is None:
            return super()._coded(pixels, qp)
        return vtm.encode(self._vtm, frame_bytes(pixels, colour=False), frame_sides(pixels.shape), qp)

    def _decoded(self, stream: bytes, sides: tuple[int, int]) -> bytes:
        """Decode by ffmpeg; what it cannot read of VTM's streams, by VTM's own decoder if that is there."""
        try:
            return super()._decoded(stream, sides)
        except CodecError:
            frame = None if self._vtm is None else vtm.decode(self._vtm, stream, sides)
            if frame is None:
                raise
            return frame[: 2 * sides[0] * sides[1]]

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
    others = {"parts", "encoder"} if profile.codec == Vvc.id else {"parts"}
    if set(config) - others != keys or not isinstance(config.get("encoder", ""), str):
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
