"""Video coders on one plane, as LaMoFC's baseline: values cut off to a range, ten bits, one intra frame.

The coders are those in the ffmpeg that imageio-ffmpeg brings: VVenC with ffmpeg's own VVC decoder, and x265. Both want
colour, which is constant here and costs a few bytes. Streams are coded and decoded by a process of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.codec import Codec, require
from lamofc_codecs.errors import BadQuality, CodecError, CorruptRecord, UnsupportedInput
from lamofc_codecs.profile import Profile
from lamofc_codecs.published import BITS, published_range
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import LARGEST_HALF, Floats, convert
from lamofc_codecs.source import Coded, Source
from lamofc_codecs.stats import Bulk, collect_statistics, measure_distortion
from lamofc_codecs.video.ffmpeg import run

Pixels = NDArray[np.uint16]
_LEVELS = (1 << BITS) - 1
_LEAST, _ROUND = 16, 8
"""Rows and columns that a frame has at least, and multiples of which they are."""
_GREY = 1 << (BITS - 1)
_SPARE = 256
"""By which a decoder may count a frame larger than it is."""
_USUAL_QP = 32
_TOO_LONG = ("Error encoding a frame", "Error submitting video frame")
PRESETS = ("faster", "fast", "medium", "slow", "slower")
_X265 = "keyint=1:log-level=none:pools=1:frame-threads=1:tune=psnr:aq-mode=0:cutree=0:psy-rd=0:psy-rdoq=0:info=0"


class Video(Codec):
    """One plane as one intra frame; the rate is what the quantisation parameter makes it."""

    qualities = ("qp",)
    options = ("preset", "range", "rounding", "truncation")
    container: ClassVar[str]
    """As ffmpeg calls it."""

    @classmethod
    def fit(cls, samples: Iterable[Tensor], quality: Quality | None = None, **options: object) -> Profile:
        """Find the range of the bulk, unless one is given."""
        cls.check_quality(quality)
        cls.check_options(options)
        collected = collect_statistics(samples)
        bulk, _ = collected.finish()
        told: Any = options.get("range") or (
            published_range(options["truncation"]) if options.get("truncation") else None
        )
        values = collected.values()
        inside = values[~bulk.outside(values)]
        low, high = (float(end) for end in told or (inside.min(initial=0), inside.max(initial=0)))
        config = {
            "channels": len(bulk.mean),
            "range": [low, high],
            "preset": options.get("preset", "medium"),
            "rounding": options.get("rounding", "nearest"),
            "quality": (quality or Quality(qp=_USUAL_QP)).to_json(),
        }
        if told is None and low == high:  # a constant feature
            config["range"] = [low - 0.5, high + 0.5]
        return _checked(Profile(cls.id, config, bulk.tensors()))

    @classmethod
    def recorded(cls, options: Mapping[str, object]) -> dict[str, object]:
        """What a profile's config tells of options."""
        told = {name: value for name, value in options.items() if name != "truncation"}
        return told | ({"range": list(published_range(options["truncation"]))} if options.get("truncation") else {})

    def __init__(self, profile: Profile) -> None:
        self.check_profile(profile)
        _checked(profile)
        self._low, self._high = (float(end) for end in profile.config["range"])
        self._preset, self._floor = profile.config["preset"], profile.config["rounding"] == "floor"
        self._quality = Quality.from_json(profile.config["quality"])
        self._bulk = Bulk.required(profile)
        self.check_width(profile, self._bulk)

    @property
    def bulk(self) -> Bulk:
        """Where the profile's bulk lies."""
        return self._bulk

    def encode(self, source: Source, quality: Quality | None = None) -> Coded:
        """Cut off, quantise, and hand the plane to the coder."""
        self.check_quality(quality)
        self.check_lossy(source, len(self._bulk.mean))
        qp = (quality or self._quality).value
        if qp != int(qp) or not 0 <= qp <= 63:
            raise BadQuality(f"qp={qp:g}", "give a whole number from 0 to 63; papers use 22 to 42")
        if not source.values.size:
            return Coded((b"",))
        try:
            stream = run(self._encoder(int(qp), _sides(source.values.shape)), _frame(self._numbers(source.values)))
        except CodecError as error:
            if not any(sign in error.message for sign in _TOO_LONG):
                raise
            return Coded((b"",), reached=False)  # VVenC gives up where a stream outgrows its frame: better left raw
        decoded = torch.empty_like(source.tensor)
        self.decode([memoryview(stream)], decoded)
        return Coded(
            (stream,), (measure_distortion(source.values, convert(decoded, torch.float32).numpy(), self._bulk),)
        )

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Decode the frame and scale it back."""
        data, shape = layers[0], (out.shape[0], out.shape[1])
        if not out.numel():
            require(not len(data), f"{len(data)} bytes for a tensor of {shape}")
            return
        rows, columns = _sides(shape)
        most = (rows + _SPARE) * (columns + _SPARE)
        read = ["-max_pixels", str(most), "-threads", "1", "-err_detect", "explode", "-f", self.container]
        write = ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "yuv420p10le"]
        try:
            found = run([*read, "-i", "pipe:0", *write], bytes(data))
        except CodecError as error:
            raise CorruptRecord(f"a stream of {len(data)} bytes is refused: {error}") from error
        require(len(found) == rows * columns * 3, f"a frame of {len(found)} bytes, not one of {rows} x {columns}")
        pixels = np.frombuffer(found[: 2 * rows * columns], "<u2").reshape(rows, columns)[: shape[0], : shape[1]]
        require(int(pixels.max()) <= _LEVELS, f"a pixel of {int(pixels.max())}")
        self._restore(pixels, out)

    def quantised(self, tensor: Tensor) -> Tensor | None:
        """Each value's level."""
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
        whole = np.floor(scaled) if self._floor else np.rint(scaled)
        numbers: Pixels = whole.clip(0, _LEVELS).astype(np.uint16)
        return numbers

    def _encoder(self, qp: int, sides: tuple[int, int]) -> list[str]:
        size = f"{sides[1]}x{sides[0]}"
        read = ["-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", size, "-r", "1", "-i", "pipe:0", "-frames:v", "1"]
        return [*read, *self._settings(qp, self._preset), "-f", self.container]

    @staticmethod
    def _settings(qp: int, preset: str) -> list[str]:
        """Options that name the coder."""
        raise NotImplementedError

    @staticmethod
    def _is_slice(unit: bytes) -> bool:
        """Whether a unit of a stream holds pixels."""
        raise NotImplementedError

    @classmethod
    def overhead(cls, layer: bytes) -> int:
        """Bytes of a stream that hold no pixel: parameter sets and messages, and the marks before all units."""
        units = layer.split(b"\0\0\1")[1:]
        return len(layer) - sum(len(unit) for unit in units if len(unit) > 2 and cls._is_slice(unit))


class Vvc(Video):
    """VVC intra at ten bits, coded by VVenC without its tuning to the eye.

    Options: `truncation`, a task of LaMoFC's Table 4, such as cls or dpt.2; or `range`, two numbers; else the range of
    the samples' bulk. `rounding`, nearest or, as the published code does, floor. `preset`, faster to slower.
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
    """HEVC intra at ten bits, coded by x265 without its tuning to the eye.

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
    """Refuse a config that cannot be meant."""
    config, keys = profile.config, {"channels", "preset", "quality", "range", "rounding"}
    ends = config.get("range")
    pair = isinstance(ends, list) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends)
    if set(config) != keys or ends is None or not pair or not (np.isfinite(ends).all() and ends[0] < ends[1]):
        raise UnsupportedInput(f"config {dict(config)!r}", "range: two rising numbers, or truncation: a task")
    if config["preset"] not in PRESETS or config["rounding"] not in ("nearest", "floor"):
        raise UnsupportedInput(
            f"preset={config['preset']!r}, rounding={config['rounding']!r}",
            f"preset: one of {', '.join(PRESETS)}; rounding: nearest or floor",
        )
    return profile


def _sides(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of the frame."""
    rows, columns = (max(_LEAST, -(-side // _ROUND) * _ROUND) for side in shape)
    return rows, columns


def _frame(pixels: Pixels) -> bytes:
    """A plane filled up with its edge, and two planes of grey."""
    rows, columns = _sides(pixels.shape)
    filled = np.pad(pixels, ((0, rows - pixels.shape[0]), (0, columns - pixels.shape[1])), mode="edge")
    return filled.astype("<u2").tobytes() + np.full(rows * columns // 2, _GREY, "<u2").tobytes()
