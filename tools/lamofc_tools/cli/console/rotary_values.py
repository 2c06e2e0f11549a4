"""Convert the texts of --rotary to rotations, each with the heads of the feature that it is for."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from lamofc_store.errors import BadArgument
from lamofc_store.sources import CACHE
from lamofc_tools.cli.console.values import parse_pairs

if TYPE_CHECKING:
    from lamofc_codecs import Rotary

_PAIRS = ("halves", "neighbours")
_KEYS = ".k_cache"
_UNSTATED: dict[str, Literal["find"] | None] = {"find": "find", "none": None}


def parse_rotary(texts: Iterable[str], planned: Iterable[Any]) -> "dict[str, Rotary | Literal['find'] | None]":
    """Parse the texts of --rotary to the rotation of each feature of a plan that one of them matches."""
    rows = list(planned)
    found: dict[str, Rotary | Literal["find"] | None] = {}
    for glob, text in parse_pairs(list(texts), "--rotary", "layer.*.k_cache=10000,halves").items():
        matching = [row for row in rows if fnmatchcase(row.feature, glob)]
        if not matching:
            raise BadArgument(
                f"--rotary {glob!r} matches none of {', '.join(row.feature for row in rows[:8])}", "correct the glob"
            )
        if text in _UNSTATED:
            found |= {row.feature: _UNSTATED[text] for row in matching}
        else:
            found |= {row.feature: _rotation(f"{glob}={text}", text, row) for row in matching}
    return found


def require_stated(rotary: "Mapping[str, Rotary | Literal['find'] | None]") -> "dict[str, Rotary | None]":
    """Return rotations for a model whose keys have theirs; refuse those that a fit is to find, and those of others."""
    stated = {name: turn for name, turn in rotary.items() if not isinstance(turn, str)}
    for name, turn in stated.items():
        if turn is not None and not name.endswith(_KEYS):
            raise BadArgument(f"--rotary of {name!r}, which a model does not rotate", f"name keys: layer.*{_KEYS}")
    for name in rotary:
        if name not in stated:
            raise BadArgument(
                f"--rotary '{name}=find' where a model tells the rotary positions of its keys",
                "leave it out, give GLOB=THETA or GLOB=none, or code without regard to the model",
            )
    return stated


def _rotation(shown: str, text: str, row: Any) -> "Rotary":
    """Make the rotation of a planned feature from THETA[,PAIRS] and the feature's own heads."""
    from lamofc_codecs import Rotary

    theta, _, pairs = text.partition(",")
    base = _positive(theta)
    if base is None or (pairs or _PAIRS[0]) not in _PAIRS:
        raise BadArgument(
            f"--rotary {shown!r} is not of the form GLOB=THETA[,PAIRS], GLOB=find or GLOB=none",
            "--rotary 'layer.*.k_cache=10000,halves'",
        )
    if row.pattern != CACHE or row.shape[-1] % 2:
        raise BadArgument(
            f"--rotary {shown!r}: {row.feature!r} is {' x '.join(map(str, row.shape))} by the pattern {row.pattern!r}",
            f"name keys of 1 x heads x tokens x channels, of pattern {CACHE!r} and an even number of channels",
        )
    heads, size = row.shape[1], row.shape[3]
    frequencies = tuple(base ** (-2 * pair / size) for pair in range(size // 2))
    return Rotary(frequencies, "neighbours" if pairs == "neighbours" else "halves", heads)


def _positive(text: str) -> float | None:
    """Read a finite number above 0; None for any other text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
