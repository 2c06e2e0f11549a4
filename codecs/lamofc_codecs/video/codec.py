"""Video codecs on one plane, as LaMoFC's baseline: values clipped to a range, ten bits, one intra frame.

The encoders are those in the ffmpeg that imageio-ffmpeg brings: VVenC, whose streams ffmpeg decodes itself, and x265.
Both need colour, which is constant here and costs a few bytes. Every stream is coded and decoded by its own process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.codec import Codec, check_channels, require, target_of
from lamofc_codecs.errors import BadQuality, CodecError, CorruptRecord, UnsupportedInput
from lamofc_codecs.options import Options
from lamofc_codecs.profile import Profile
from lamofc_codecs.published import BITS, published_range
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import LARGEST_HALF, Floats, convert
from lamofc_codecs.source import Encoding, Source
from lamofc_codecs.stats import Bulk, collect_statistics, measure_distortion
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
    range: tuple[float, float] | None = None
    """Lowest and highest value that is coded; by default those of the samples' bulk."""
    rounding: Literal["nearest", "floor"] = "nearest"
    """Whether a value becomes the nearest level or, as in the published code, the one below it."""
    truncation: str | None = None
    """A task of LaMoFC's Table 4, whose range is used."""

    config_keys: ClassVar[Mapping[str, tuple[str, ...]]] = {"truncation": ("range",)}

    def to_json(self) -> dict[str, Any]:
        """Return the options as a profile's config holds them, without the range if the samples decide it."""
        ends = self.ends()
        config_range = {} if ends is None else {"range": list(ends)}
        return {"preset": self.preset, "rounding": self.rounding, **config_range}

    def ends(self) -> tuple[float, float] | None:
        """Return the range that the options set."""
        if self.range is None and self.truncation is not None:
            return published_range(self.truncation)
        return None if self.range is None else (float(self.range[0]), float(self.range[1]))


class Video(Codec):
    """Codec of one plane as one intra frame, whose rate follows from the quantisation parameter."""

    qualities = ("qp",)
    options = VideoOptions
    container: ClassVar[str]
    """Ffmpeg's name of the stream's format."""

    @classmethod
    def fit(cls, samples: Iterable[Tensor], quality: Quality | None, options: VideoOptions) -> Profile:
        """Fit the range to the bulk, unless the options set one."""
        collected = collect_statistics(samples)
        bulk, _ = collected.finish()
        ends = options.ends()
        if ends is None:
            values = collected.values()
            inside = values[~bulk.outside(values)]
            ends = float(inside.min(initial=0)), float(inside.max(initial=0))
            if ends[0] == ends[1]:  # a constant feature
                ends = ends[0] - 0.5, ends[1] + 0.5
        config = {
            **options.to_json(),
            "channels": len(bulk.mean),
            "range": list(ends),
            "quality": (quality or Quality(qp=_DEFAULT_QP)).to_json(),
        }
        return _checked(Profile(cls.id, config, bulk.tensors()))

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        _checked(profile)
        self._low, self._high = (float(end) for end in profile.config["range"])
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
            return Encoding((b"",))
        try:
            stream = run(self._encoder(int(qp), _sides(source.values.shape)), _frame(self._numbers(source.values)))
        except CodecError as error:
            if not any(sign in error.message for sign in _STREAM_TOO_LONG):
                raise
            return Encoding((b"",), reached=False)  # VVenC gives up on a stream that is longer than its frame
        decoded = torch.empty_like(source.tensor)
        self.decode([memoryview(stream)], decoded)
        return Encoding(
            (stream,), (measure_distortion(source.values, convert(decoded, torch.float32).numpy(), self._bulk),)
        )

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Decode the frame, and map its pixels back to values."""
        data, shape = layers[0], (out.shape[0], out.shape[1])
        if not out.numel():
            require(not len(data), f"{len(data)} bytes for a tensor of {shape}")
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
        self._restore(pixels, out)

    def quantise(self, tensor: Tensor) -> Tensor:
        """Replace each value by its level."""
        out = torch.empty_like(tensor, memory_format=torch.contiguous_format)
        self._restore(self._numbers(convert(tensor.contiguous(), torch.float32).numpy()), out)
        return out

    def _restore(self, pixels: Pixels, out: Tensor) -> None:
        scale = (self._high - self._low) / _LEVELS
        levels = (self._low + np.arange(_LEVELS + 1) * scale).astype(np.float32)
        if out.dtype == torch.float16:
            levels = levels.clip(-LARGEST_HALF, LARGEST_HALF)
        out.copy_(torch.from_numpy(levels[pixels]))

    def _numbers(self, values: Floats) -> Pixels:
        step = (self._high - self._low) / _LEVELS
        scaled = (values.clip(self._low, self._high).astype(np.float64) - self._low) / step
        rounded = np.floor(scaled) if self._floor else np.rint(scaled)
        numbers: Pixels = rounded.clip(0, _LEVELS).astype(np.uint16)
        return numbers

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
    ends = config.get("range")
    pair = isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends)
    if set(config) != keys or ends is None or not pair or not (np.isfinite(ends).all() and ends[0] < ends[1]):
        raise UnsupportedInput(f"config {dict(config)!r}", "range: two rising numbers, or truncation: a task")
    if config["preset"] not in get_args(Preset) or config["rounding"] not in ("nearest", "floor"):
        raise UnsupportedInput(
            f"preset={config['preset']!r}, rounding={config['rounding']!r}",
            f"preset: one of {', '.join(get_args(Preset))}; rounding: nearest or floor",
        )
    return profile


def _sides(shape: Sequence[int]) -> tuple[int, int]:
    """Return the rows and columns of the frame."""
    rows, columns = (max(_MIN_SIDE, -(-side // _SIDE_MULTIPLE) * _SIDE_MULTIPLE) for side in shape)
    return rows, columns


def _frame(pixels: Pixels) -> bytes:
    """Return the bytes of a plane that is padded with its edge, and of two planes of grey."""
    rows, columns = _sides(pixels.shape)
    filled = np.pad(pixels, ((0, rows - pixels.shape[0]), (0, columns - pixels.shape[1])), mode="edge")
    return filled.astype("<u2").tobytes() + np.full(rows * columns // 2, _GREY, "<u2").tobytes()
