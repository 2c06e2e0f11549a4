"""Patterns: the language that says which axes of a feature are tokens, and which are channels.

A pattern is an einops pattern whose right side has two groups, tokens and channels: `b h t d -> (b t) (h d)`. A third
group before them counts planes, which codecs of pictures code apart: `b t c -> b t c`; to all others the tokens of all
planes follow each other. Beyond einops, sizes that do not follow from the shape stand behind a comma:
`(a b) y x -> (a y) (b x), b=8`. Every axis of the left appears exactly once on the right, so each pattern has an exact
inverse. Torch is loaded when a tensor is moved.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from keyword import iskeyword
from typing import TYPE_CHECKING

from lamofc_store.errors import BadArgument, Hint

if TYPE_CHECKING:
    import torch

Groups = tuple[tuple[str, ...], ...]
"""One side of a pattern: a tuple of axis names for each dimension; `1` is the empty tuple."""

ELLIPSIS = "..."
_SYMBOL = re.compile(r"\.\.\.|[A-Za-z][A-Za-z0-9_]*|\d+|[()]|\S")
_FORM_HINT = "write the feature's axes, an arrow, tokens and channels: 'b h t d -> (b t) (h d)'"
MOSAIC = "mosaic"
"""Name of the pattern that lays the channels of a feature map side by side, each as a picture of its own."""


@dataclass(frozen=True)
class Pattern:
    """A parsed pattern; `text` is as the user wrote it."""

    text: str
    left: Groups
    right: Groups
    """Tokens, those of all planes, and channels."""
    sizes: tuple[tuple[str, int], ...] = ()
    planes: tuple[str, ...] = ()
    """The first axes of the tokens, which count planes."""

    def bind(self, shape: Sequence[int]) -> BoundPattern:
        """Give each axis its length in a shape; BadArgument, which names pattern and shape, where they do not fit."""
        left, right, planes = _expand_ellipsis(self, len(shape))
        if len(left) != len(shape):
            raise BadArgument(
                f"pattern {self.text!r} has {len(left)} axes, the shape {tuple(shape)} has {len(shape)}",
                Hint(f"give [patterns] FEATURE={default_pattern(shape)!r} or one of {len(shape)} axes"),
            )
        lengths = dict(self.sizes)
        for group, length in zip(left, shape, strict=True):
            _bind_group(self.text, group, int(length), tuple(shape), lengths)
        return BoundPattern(left, right, lengths, planes)


@dataclass(frozen=True)
class BoundPattern:
    """A pattern bound to a shape: every axis has a length."""

    left: Groups
    right: Groups
    lengths: Mapping[str, int]
    plane_axes: tuple[str, ...] = ()

    @property
    def planes(self) -> int:
        """Number of planes, which share the tokens evenly."""
        return math.prod(self.lengths[name] for name in self.plane_axes)

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return math.prod(self.lengths[name] for name in self.right[0])

    @property
    def channels(self) -> int:
        """Number of channels."""
        return math.prod(self.lengths[name] for name in self.right[1])

    @property
    def in_order(self) -> bool:
        """Whether nothing is moved: channels are the last axis, and tokens all others in their order."""
        names = [name for group in self.left for name in group]
        return names == [name for group in self.right for name in group] and self.right[1] == self.left[-1]

    def move(self, tensor: torch.Tensor, source: Groups, target: Groups) -> torch.Tensor:
        """Rearrange a tensor from one side to the other; a view where the strides allow one."""
        from einops import rearrange

        moved: torch.Tensor = rearrange(tensor, f"{_write(source)} -> {_write(target)}", **self.lengths)
        return moved


def default_pattern(shape: Sequence[int]) -> str:
    """Write the pattern whose last axis is channels and all others are tokens; a vector is one token."""
    axes = len(shape)
    if axes < 5:
        return ("-> 1 1", "c -> 1 c", "t c -> t c", "b t c -> (b t) c", "b h w c -> (b h w) c")[axes]
    tokens = " ".join(f"a{index}" for index in range(axes - 1))
    return f"{tokens} c -> ({tokens}) c"


def mosaic_pattern(shape: Sequence[int]) -> str:
    """Write the pattern of a mosaic: each channel of a feature map, channels x rows x columns, is a tile.

    There are as many tiles down as across where the channels allow it, otherwise fewer. An axis before the three counts
    planes.
    """
    if len(shape) not in (3, 4):
        raise BadArgument(
            f"pattern {MOSAIC!r} needs channels x rows x columns, the shape is {tuple(shape)}",
            "write the feature's axes, an arrow, tokens and channels: '(r s) y x -> (r y) (s x), s=4'",
        )
    channels = int(shape[-3])
    down = next((rows for rows in range(math.isqrt(channels), 0, -1) if channels % rows == 0), 1)
    plane = "" if len(shape) == 3 else "n "
    return f"{plane}(r s) y x -> {plane}(r y) (s x), s={max(channels // down, 1)}"


@lru_cache(maxsize=1024)
def parse(pattern: str) -> Pattern:
    """Parse a pattern and check it by itself, before any shape is known."""
    arrow, _, sizes = pattern.partition(",")
    if arrow.count("->") != 1:
        raise BadArgument(f"pattern {pattern!r} needs exactly one '->'", _FORM_HINT)
    left, right = (_side(pattern, side) for side in arrow.split("->"))
    if len(right) not in (2, 3):
        raise BadArgument(
            f"pattern {pattern!r} has {len(right)} axes on its right, two are needed, or three with planes", _FORM_HINT
        )
    *planes, tokens, channels = right
    counted = planes[0] if planes else ()
    parsed = Pattern(pattern, left, ((*counted, *tokens), channels), _sizes(pattern, sizes), counted)
    names, others = ([name for group in side for name in group] for side in (left, right))
    for name in sorted({*names, *others}):
        if (names.count(name), others.count(name)) != (1, 1):
            raise BadArgument(
                f"pattern {pattern!r}: axis {name!r} stands {names.count(name)} times on the left"
                f" and {others.count(name)} times on the right, not once on each",
                "a pattern only moves axes: give each its own name and use it once on each side",
            )
    for name, _size in parsed.sizes:
        if name not in names:
            raise BadArgument(f"pattern {pattern!r} gives a size to {name!r}, which is no axis of it", _FORM_HINT)
    if any(ELLIPSIS in group and len(group) > 1 for group in left):
        raise BadArgument(f"pattern {pattern!r} has '...' in a group on its left", "let '...' stand alone there")
    return parsed


def _side(pattern: str, text: str) -> Groups:
    """Parse one side of the arrow into groups; `1` and `()` are both the empty group."""
    groups: list[tuple[str, ...]] = []
    open_group: list[str] | None = None
    for symbol in _SYMBOL.findall(text):
        if (symbol == "(") == (open_group is not None) and symbol in "()":
            raise BadArgument(f"pattern {pattern!r} has unbalanced parentheses", _FORM_HINT)
        if symbol == "(":
            open_group = []
        elif symbol == ")":
            groups.append(tuple(open_group or ()))
            open_group = None
        elif symbol == "1":
            if open_group is None:
                groups.append(())
        else:
            _check_axis(pattern, symbol)
            groups.append((symbol,)) if open_group is None else open_group.append(symbol)
    if open_group is not None:
        raise BadArgument(f"pattern {pattern!r} has unbalanced parentheses", _FORM_HINT)
    return tuple(groups)


def _check_axis(pattern: str, axis: str) -> None:
    """Raise BadArgument for a symbol that einops would not take as the name of an axis."""
    if axis == ELLIPSIS:
        return
    if axis.isdigit():
        raise BadArgument(
            f"pattern {pattern!r}: {axis} is no axis, only 1 may stand as a number",
            f"name the axis and give its size behind a comma: ', n={axis}'",
        )
    if not axis.isidentifier() or axis.endswith("_") or iskeyword(axis):
        raise BadArgument(f"pattern {pattern!r}: {axis!r} can be no axis name", _FORM_HINT)


def _sizes(pattern: str, text: str) -> tuple[tuple[str, int], ...]:
    """Parse the sizes behind the comma: `, b=8, c=2`."""
    sizes: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"([A-Za-z]\w*)\s*=\s*([1-9]\d{0,9})", item)
        if match is None or match[1] in sizes:
            raise BadArgument(
                f"pattern {pattern!r}: {item!r} is no size of an axis", "write one ', name=number' an axis"
            )
        sizes[match[1]] = int(match[2])
    return tuple(sizes.items())


def _expand_ellipsis(pattern: Pattern, axes: int) -> tuple[Groups, Groups, tuple[str, ...]]:
    """Replace `...` on both sides and among the planes by new names, one for each axis that is left over."""
    if (ELLIPSIS,) not in pattern.left:
        return pattern.left, pattern.right, pattern.planes
    used = {name for group in pattern.left for name in group}
    unused = (name for name in (f"rest{index}" for index in range(axes + len(used))) if name not in used)
    names = tuple(next(unused) for _ in range(axes - len(pattern.left) + 1))
    index = pattern.left.index((ELLIPSIS,))
    left = (*pattern.left[:index], *((name,) for name in names), *pattern.left[index + 1 :])
    tokens, channels, planes = (
        tuple(part for name in group for part in (names if name == ELLIPSIS else (name,)))
        for group in (*pattern.right, pattern.planes)
    )
    return left, (tokens, channels), planes


def _bind_group(
    text: str, group: tuple[str, ...], length: int, shape: tuple[int, ...], lengths: dict[str, int]
) -> None:
    """Compute the one length of a group that is not given, or check that the given ones multiply to the axis."""
    open_axes = [name for name in group if name not in lengths]
    product = math.prod(lengths[name] for name in group if name in lengths)
    if len(open_axes) > 1:
        raise BadArgument(
            f"pattern {text!r}: the sizes of {open_axes} in an axis of {length} do not follow from the shape {shape}",
            f"give all but one behind a comma: '{text}, {open_axes[-1]}=2'",
        )
    if length < 0 or length % product or (not open_axes and product != length):
        raise BadArgument(
            f"pattern {text!r} does not fit the shape {shape}:"
            f" {' x '.join(group) or '1'} makes {product}, the axis has {length}",
            "correct the sizes behind the comma or the literal 1, or leave the pattern out to take the default",
        )
    if open_axes:
        lengths[open_axes[0]] = length // product


def _write(groups: Groups) -> str:
    return " ".join("1" if not group else group[0] if len(group) == 1 else f"({' '.join(group)})" for group in groups)
