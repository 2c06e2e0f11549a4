"""The points of a comparison: each codec at each quality that it takes, each peer at each aim."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from lamofc_codecs import CODECS, Profile, Quality, targets_of
from lamofc_store.errors import BadArgument
from lamofc_tools.comparison.coder import Coder, Ours
from lamofc_tools.comparison.external_coders import PEERS

_OPTION = re.compile(r",(?=[a-z_]+=)")


@dataclass(frozen=True)
class Point:
    """One coder with one setting."""

    coder: str
    """A codec with its options, or a peer: what a line of a picture is."""
    setting: str
    """Its quality or aim; empty for the only one."""
    codec: str
    options: Mapping[str, Any] = field(default_factory=dict)
    quality: Quality | None = None
    aim: float | None = None

    def make(self, feature: str, train: Sequence[Tensor]) -> Coder:
        """The coder, fitted."""
        if self.codec in CODECS:
            return Ours(self.codec, self.quality, self.options, feature, train)
        return PEERS[self.codec](train, self.aim)

    def to_json(self) -> dict[str, Any]:
        """What tells it from all others."""
        options = dict(self.options)
        if options.get("weights"):
            options["weights"] = Profile.load(Path(options["weights"])).id
        quality = self.quality.to_json() if self.quality else None
        return {"codec": self.codec, "options": options, "quality": quality, "aim": self.aim}


def grid(codecs: Sequence[str], qualities: Sequence[str], peers: Sequence[str]) -> list[Point]:
    """All points of what was typed: `klt`, `lloydmax:assign=floor`; `snr_db=10`; `zfp`, or `all`."""
    aims = [quality_of(text) for text in qualities]
    found = [point for text in codecs for point in _ours(text, aims)]
    for name in [peer for text in peers for peer in (PEERS if text == "all" else [text])]:
        if name not in PEERS:
            raise BadArgument(f"there is no peer {name!r}; there are {', '.join(PEERS)}", "--peer all")
        told = tuple(aim.value for aim in aims if aim.kind == "snr_db") if name in ("zfp", "sz3") else ()
        for value in told or PEERS[name].aims:
            unit = "d={:g}" if name == "pq" else "snr_db={:g}"
            found.append(Point(name, "" if value is None else unit.format(value), name, aim=value))
    return found


def quality_of(text: str) -> Quality:
    """`snr_db=10` as a quality."""
    name, _, value = text.partition("=")
    try:
        return Quality(**{name: float(value)})  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise BadArgument(f"--quality {text!r}: {error}", "--quality snr_db=10") from error


def _ours(text: str, aims: Sequence[Quality]) -> Iterator[Point]:
    codec, _, rest = text.partition(":")
    if codec not in CODECS:
        raise BadArgument(f"there is no codec {codec!r}; there are {', '.join(CODECS)}", "lamofc codec list")
    options = dict(_option(part, text) for part in _OPTION.split(rest)) if rest else {}
    weights = options.get("weights")
    if weights:
        trained = Profile.load(Path(str(weights))).config.get("lmbda")
        yield Point(codec, f"lambda={trained:g}" if trained else Path(str(weights)).stem, codec, options)
        return
    fits = [aim for aim in aims if aim.kind in targets_of(codec, options)]
    several: Sequence[Quality | None] = fits or [None]
    for aim in several:
        yield Point(text, "" if aim is None else str(aim), codec, options, aim)


def _option(part: str, text: str) -> tuple[str, Any]:
    name, equals, value = part.partition("=")
    if not (name and equals and value):
        raise BadArgument(f"--codec {text!r}: {part!r} is no NAME=VALUE", "--codec lloydmax:assign=floor,bits=8")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
