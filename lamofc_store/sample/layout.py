"""Layout of a feature: its own shape to tokens x channels and back, by its pattern; its token grid."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lamofc_store.errors import BadArgument
from lamofc_store.sample.pattern import MOSAIC, default_pattern, mosaic_pattern, parse

if TYPE_CHECKING:
    import torch

__all__ = [
    "Grid",
    "channels_of",
    "default_pattern",
    "from_tokens",
    "grid_of",
    "has_planes",
    "in_order",
    "parse",
    "pattern_for",
    "patterns_by_axes",
    "planes_of",
    "to_tokens",
    "tokens_of",
]


@dataclass(frozen=True)
class Grid:
    """A token grid: `prefix` tokens without a place (class, registers), then `height` x `width` tokens, row by row."""

    prefix: int
    height: int
    width: int

    def __post_init__(self) -> None:
        are_integers = all(type(value) is int for value in (self.prefix, self.height, self.width))
        if not are_integers or self.prefix < 0 or self.height < 1 or self.width < 1:
            raise BadArgument(
                f"grid {self.prefix!r}+{self.height!r}x{self.width!r} is not prefix+height x width in whole numbers",
                "write PREFIX+HEIGHTxWIDTH, such as 5+32x32 for 1029 tokens",
            )

    @property
    def tokens(self) -> int:
        """Tokens of one image."""
        return self.prefix + self.height * self.width

    def to_json(self) -> str:
        """Write the JSON object of the catalog rows."""
        return json.dumps({"prefix": self.prefix, "height": self.height, "width": self.width})

    @classmethod
    def from_json(cls, text: str) -> Grid:
        """Read the JSON object of `to_json`; BadArgument for any other text."""
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
        """Read the form that users type: `5+32x32`, or `32x32` without prefix tokens."""
        match = re.fullmatch(r"(?:(\d{1,9})\+)?(\d{1,9})x(\d{1,9})", text.replace(" ", ""))
        if match is None:
            raise BadArgument(f"{text!r} is no grid", "write PREFIX+HEIGHTxWIDTH, such as 5+32x32 for 1029 tokens")
        return cls(int(match[1] or 0), int(match[2]), int(match[3]))

    def check(self, tokens: int) -> None:
        """Raise BadArgument unless the tokens are one or several complete images of this grid."""
        if tokens % self.tokens:
            raise BadArgument(
                f"{tokens} tokens are not whole images of {self.prefix} + {self.height} x {self.width} = {self.tokens}",
                "correct the grid or leave it out; the token transform is then off",
            )


def to_tokens(tensor: torch.Tensor, pattern: str) -> torch.Tensor:
    """Rearrange a feature to tokens x channels; the result shares its memory where strides allow."""
    bound = parse(pattern).bind(tensor.shape)
    return bound.move(tensor, bound.left, bound.right)


def from_tokens(tokens: torch.Tensor, pattern: str, shape: Sequence[int]) -> torch.Tensor:
    """Rearrange tokens x channels to a feature of a shape: the exact inverse of `to_tokens`."""
    bound = parse(pattern).bind(shape)
    if tuple(tokens.shape) != (bound.tokens, bound.channels):
        raise BadArgument(
            f"{tuple(tokens.shape)} tokens x channels do not fit the shape {tuple(shape)} by {pattern!r},"
            f" which makes {(bound.tokens, bound.channels)}",
            "restore with the pattern and the shape that the tensor was flattened with",
        )
    return bound.move(tokens, bound.right, bound.left)


def in_order(shape: Sequence[int], pattern: str) -> bool:
    """Whether a pattern moves nothing: tokens are all axes but the last, in their order."""
    return parse(pattern).bind(shape).in_order


def tokens_of(shape: Sequence[int], pattern: str) -> int:
    """Count the tokens of a feature of a shape."""
    return parse(pattern).bind(shape).tokens


def channels_of(shape: Sequence[int], pattern: str) -> int:
    """Count the channels of a feature of a shape."""
    return parse(pattern).bind(shape).channels


def planes_of(shape: Sequence[int], pattern: str) -> int:
    """Count the planes of a feature of a shape, among which its tokens are divided."""
    return parse(pattern).bind(shape).planes


def has_planes(pattern: str) -> bool:
    """Whether a pattern counts planes, though it may find only one."""
    return bool(parse(pattern).planes)


def pattern_for(
    feature: str, shape: Sequence[int], patterns: Mapping[str, str], source_patterns: Mapping[str, str] | None = None
) -> str:
    """Select the pattern of a feature; BadArgument where it does not fit the shape.

    `patterns` are the user's, by feature name or glob: the name goes first, then the first glob that matches. If
    none matches, the source's own pattern by feature name holds, and else the default. The name `mosaic` stands for
    the pattern of a mosaic of the feature's channels.
    """
    chosen = patterns.get(feature)
    if chosen is None:
        chosen = next((pattern for glob, pattern in patterns.items() if fnmatchcase(feature, glob)), None)
    if chosen is None:
        chosen = (source_patterns or {}).get(feature)
    if chosen is None:
        return default_pattern(shape)
    try:
        if chosen == MOSAIC:
            return mosaic_pattern(shape)
        parse(chosen).bind(shape)
    except BadArgument as error:
        raise BadArgument(f"feature {feature!r}: {error.args[0]}", error.cure) from None
    return chosen


def patterns_by_axes(shapes: Mapping[str, Sequence[int]], patterns: Mapping[str, str]) -> dict[str, str]:
    """Select patterns by globs, for features with as many axes as the pattern; `mosaic` takes three or four."""
    selected: dict[str, str] = {}
    for name, shape in shapes.items():
        for glob, pattern in patterns.items():
            axes = (3, 4) if pattern == MOSAIC else (len(parse(pattern).left),)
            if name not in selected and fnmatchcase(name, glob) and len(shape) in axes:
                selected[name] = pattern
    return selected


def grid_of(shape: Sequence[int], pattern: str) -> Grid | None:
    """Derive the grid from a pattern whose innermost token axes are named `h` and `w`; None for any other pattern."""
    bound = parse(pattern).bind(shape)
    height, width = bound.lengths.get("h", 0), bound.lengths.get("w", 0)
    if bound.right[0][-2:] != ("h", "w") or not height or not width:
        return None
    return Grid(0, height, width)
