"""The points of a comparison: each codec at each quality that it takes, each external coder at each target."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lamofc_codecs import CODECS, CodecError, Profile, PublishedSettings, Quality, published_settings, targets_of
from lamofc_store.errors import BadArgument
from lamofc_tools.comparison.coder import CodecCoder, Coder
from lamofc_tools.comparison.external_coders import PEERS
from lamofc_tools.comparison.splits import SampleSplit

_OPTION_SEPARATOR = re.compile(r",(?=[a-z_]+=)")
_TARGETS_SNR = ("zfp", "sz3")
"""External coders whose target is a signal-to-noise ratio."""


@dataclass(frozen=True)
class Point:
    """One coder with one setting."""

    coder: str
    """A codec with its options, or an external coder: one line of a plot."""
    setting: str
    """Its quality or target; empty where there is only one."""
    codec: str
    options: Mapping[str, Any] = field(default_factory=dict)
    quality: Quality | None = None
    aim: float | None = None
    """Target of an external coder."""

    def make(self, split: SampleSplit) -> Coder:
        """Create the coder, fitted to samples."""
        if self.codec in CODECS:
            return CodecCoder(self.codec, self.quality, self.options, split)
        return PEERS[self.codec](split.train, self.aim)

    def to_json(self) -> dict[str, Any]:
        """Convert to a document that differs from those of all other points."""
        options = dict(self.options)
        if options.get("weights"):
            options["weights"] = Profile.load(Path(options["weights"])).id
        quality = self.quality.to_json() if self.quality else None
        return {"codec": self.codec, "options": options, "quality": quality, "aim": self.aim}


def list_points(
    codecs: Sequence[str], qualities: Sequence[str], peers: Sequence[str], as_published: str | None = None
) -> list[Point]:
    """List all points for codecs (`klt`, `lloydmax:assign=floor`), qualities (`snr_db=10`) and peers (`zfp`, `all`).

    Codecs of the paper `as_published` have the options that it prints, where others are not given.
    """
    parsed = [parse_quality(text) for text in qualities]
    points = [point for text in codecs for point in _codec_points(text, parsed, as_published)]
    for name in [peer for text in peers for peer in (PEERS if text == "all" else [text])]:
        if name not in PEERS:
            raise BadArgument(f"there is no peer {name!r}; there are {', '.join(PEERS)}", "--peer all")
        snrs = tuple(quality.value for quality in parsed if quality.kind == "snr_db") if name in _TARGETS_SNR else ()
        for target in snrs or PEERS[name].aims:
            unit = "d={:g}" if name == "pq" else "snr_db={:g}"
            points.append(Point(name, "" if target is None else unit.format(target), name, aim=target))
    return points


def parse_quality(text: str) -> Quality:
    """Parse `snr_db=10`."""
    name, _, value = text.partition("=")
    try:
        return Quality(**{name: float(value)})  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise BadArgument(f"--quality {text!r}: {error}", "--quality snr_db=10") from error


def published_qualities(as_published: str) -> list[str]:
    """List the quantisation parameters that a paper prints."""
    return [f"qp={qp}" for qp in _settings(as_published).qps]


def _settings(as_published: str) -> PublishedSettings:
    """Return the settings of a paper."""
    try:
        return published_settings(as_published)
    except CodecError as error:
        raise BadArgument(error.message, error.cure) from error


def _codec_points(text: str, qualities: Sequence[Quality], as_published: str | None) -> Iterator[Point]:
    codec, _, options_text = text.partition(":")
    if codec not in CODECS:
        raise BadArgument(f"there is no codec {codec!r}; there are {', '.join(CODECS)}", "lamofc codec list")
    options = dict(_parse_option(part, text) for part in _OPTION_SEPARATOR.split(options_text)) if options_text else {}
    if as_published is not None and codec in _settings(as_published).options:
        options = _settings(as_published).options_of(codec, options)
    weights = options.get("weights")
    if weights:
        lmbda = Profile.load(Path(str(weights))).config.get("lmbda")
        yield Point(codec, f"lambda={lmbda:g}" if lmbda else Path(str(weights)).stem, codec, options)
        return
    accepted = [quality for quality in qualities if quality.kind in targets_of(codec, options)]
    settings: Sequence[Quality | None] = accepted or [None]
    for quality in settings:
        yield Point(text, "" if quality is None else str(quality), codec, options, quality)


def _parse_option(part: str, text: str) -> tuple[str, Any]:
    name, equals, value = part.partition("=")
    if not (name and equals and value):
        raise BadArgument(f"--codec {text!r}: {part!r} is no NAME=VALUE", "--codec lloydmax:assign=floor,bits=8")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
