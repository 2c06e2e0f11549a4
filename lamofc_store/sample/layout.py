"""From a feature's own shape to tokens x channels, and back; which pattern and which grid a feature has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lamofc_store.errors import BadArgument, Hint
from lamofc_store.sample.pattern import default_pattern, parse

if TYPE_CHECKING:
    import torch

__all__ = [
    "Grid",
    "assignments",
    "channels_of",
    "default_pattern",
    "from_tokens",
    "grid_of",
    "in_order",
    "parse",
    "pattern_for",
    "to_tokens",
    "tokens_of",
]


@dataclass(frozen=True)
class Grid:
    """Tokens that lie on an image: `prefix` free ones (class, registers), then `height` x `width` in rows."""

    prefix: int
    height: int
    width: int

    def __post_init__(self) -> None:
        whole = all(type(value) is int for value in (self.prefix, self.height, self.width))
        if not whole or self.prefix < 0 or self.height < 1 or self.width < 1:
            raise BadArgument(
                f"grid {self.prefix!r}+{self.height!r}x{self.width!r} is not prefix+height x width in whole numbers",
                "write PREFIX+HEIGHTxWIDTH, such as 5+32x32 for 1029 tokens",
            )

    @property
    def tokens(self) -> int:
        """Tokens of one image."""
        return self.prefix + self.height * self.width

    def to_json(self) -> str:
        """The JSON object that stands in the rows."""
        return json.dumps({"prefix": self.prefix, "height": self.height, "width": self.width})

    @classmethod
    def from_json(cls, text: str) -> Grid:
        """Read `to_json` back; anything else is BadArgument."""
        try:
            fields = json.loads(text)
        except ValueError:
            fields = None
        if not isinstance(fields, dict) or fields.keys() != {"prefix", "height", "width"}:
            raise BadArgument(
                f"{text!r} is no grid",
                'a grid is a JSON object of three numbers: {"prefix": 5, "height": 32, "width": 32}',
            )
        return cls(**fields)

    @classmethod
    def from_text(cls, text: str) -> Grid:
        """Read what a user types: `5+32x32`, or `32x32` without prefix tokens."""
        match = re.fullmatch(r"(?:(\d{1,9})\+)?(\d{1,9})x(\d{1,9})", text.replace(" ", ""))
        if match is None:
            raise BadArgument(f"{text!r} is no grid", "write PREFIX+HEIGHTxWIDTH, such as 5+32x32 for 1029 tokens")
        return cls(int(match[1] or 0), int(match[2]), int(match[3]))

    def check(self, tokens: int) -> None:
        """BadArgument unless `tokens` is one image of this grid, or several whole ones."""
        if tokens % self.tokens:
            raise BadArgument(
                f"{tokens} tokens are not whole images of {self.prefix} + {self.height} x {self.width} = {self.tokens}",
                "correct the grid or leave it out; the token transform is then off",
            )


def to_tokens(tensor: torch.Tensor, pattern: str) -> torch.Tensor:
    """The feature as tokens x channels; shares memory with `tensor` where it can."""
    bound = parse(pattern).bind(tensor.shape)
    return bound.move(tensor, bound.left, bound.right)


def from_tokens(tokens: torch.Tensor, pattern: str, shape: Sequence[int]) -> torch.Tensor:
    """The exact inverse of `flatten` for a feature of `shape`."""
    bound = parse(pattern).bind(shape)
    if tuple(tokens.shape) != (bound.tokens, bound.channels):
        raise BadArgument(
            f"{tuple(tokens.shape)} tokens x channels do not fit the shape {tuple(shape)} by {pattern!r},"
            f" which makes {(bound.tokens, bound.channels)}",
            "restore with the pattern and the shape that the tensor was flattened with",
        )
    return bound.move(tokens, bound.right, bound.left)


def in_order(shape: Sequence[int], pattern: str) -> bool:
    """Whether the tokens of a feature of `shape` are all its axes but the last, as they stand."""
    return parse(pattern).bind(shape).in_order


def tokens_of(shape: Sequence[int], pattern: str) -> int:
    """How many tokens a feature of `shape` has by `pattern`."""
    return parse(pattern).bind(shape).tokens


def channels_of(shape: Sequence[int], pattern: str) -> int:
    """How many channels a feature of `shape` has by `pattern`."""
    return parse(pattern).bind(shape).channels


def assignments(options: Iterable[str]) -> dict[str, str]:
    """Patterns by feature glob, from `FEATURE=PATTERN` options; each pattern is checked at once."""
    patterns: dict[str, str] = {}
    for option in options:
        glob, equals, pattern = option.partition("=")
        if not equals or not glob.strip() or "->" in glob:
            raise BadArgument(
                f"{option!r} is no assignment of a pattern",
                Hint("write FEATURE=PATTERN, such as [patterns] 'layer.*=b h t d -> (b t) (h d)'"),
            )
        patterns[glob.strip()] = parse(pattern.strip()).text
    return patterns


def pattern_for(
    feature: str, shape: Sequence[int], patterns: Mapping[str, str], usual: Mapping[str, str] | None = None
) -> str:
    """The pattern of a feature: by its own name, else by the first glob that fits it, or the default; fits `shape`.

    `usual` are those of a source, by name, that hold where `patterns` tell none.
    """
    chosen = patterns.get(feature)
    if chosen is None:
        chosen = next((pattern for glob, pattern in patterns.items() if fnmatchcase(feature, glob)), None)
    if chosen is None:
        chosen = (usual or {}).get(feature)
    if chosen is None:
        return default_pattern(shape)
    try:
        parse(chosen).bind(shape)
    except BadArgument as error:
        raise BadArgument(f"feature {feature!r}: {error.args[0]}", error.cure) from None
    return chosen


def grid_of(shape: Sequence[int], pattern: str) -> Grid | None:
    """The grid that a pattern states by naming its innermost token axes `h` and `w`, else None; never guessed."""
    bound = parse(pattern).bind(shape)
    height, width = bound.lengths.get("h", 0), bound.lengths.get("w", 0)
    if bound.right[0][-2:] != ("h", "w") or not height or not width:
        return None
    return Grid(0, height, width)
