"""The language of patterns: which axes of a feature are tokens, which are channels.

A pattern is an einops pattern whose right side has two groups, tokens and channels: `b h t d -> (b t) (h d)`.
Beyond einops, sizes that no shape can tell stand behind a comma: `(a b) y x -> (a y) (b x), b=8`.
Every axis of the left appears exactly once on the right, so each pattern has an exact inverse.
Nothing here needs torch until a tensor is moved.
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
_WORD = re.compile(r"\.\.\.|[A-Za-z][A-Za-z0-9_]*|\d+|[()]|\S")
_CURE = "write the feature's axes, an arrow, tokens and channels: 'b h t d -> (b t) (h d)'"


@dataclass(frozen=True)
class Pattern:
    """A checked pattern; `text` is as the user wrote it."""

    text: str
    left: Groups
    right: Groups
    sizes: tuple[tuple[str, int], ...] = ()

    def bind(self, shape: Sequence[int]) -> Layout:
        """Give each axis its length in `shape`; BadArgument names pattern, shape and cure where they do not fit."""
        left, right = _spread(self, len(shape))
        if len(left) != len(shape):
            raise BadArgument(
                f"pattern {self.text!r} has {len(left)} axes, the shape {tuple(shape)} has {len(shape)}",
                Hint(f"give [patterns] FEATURE={default_pattern(shape)!r} or one of {len(shape)} axes"),
            )
        lengths = dict(self.sizes)
        for group, length in zip(left, shape, strict=True):
            _bind_group(self.text, group, int(length), tuple(shape), lengths)
        return Layout(left, right, lengths)


@dataclass(frozen=True)
class Layout:
    """A pattern bound to a shape: every axis has a length, so tokens and channels are numbers."""

    left: Groups
    right: Groups
    lengths: Mapping[str, int]

    @property
    def tokens(self) -> int:
        """Rows of the two-dimensional form."""
        return math.prod(self.lengths[name] for name in self.right[0])

    @property
    def channels(self) -> int:
        """Columns of the two-dimensional form."""
        return math.prod(self.lengths[name] for name in self.right[1])

    @property
    def in_order(self) -> bool:
        """Whether channels are the last axis and tokens all others as they stand: there is nothing to move."""
        names = [name for group in self.left for name in group]
        return names == [name for group in self.right for name in group] and self.right[1] == self.left[-1]

    def move(self, tensor: torch.Tensor, source: Groups, target: Groups) -> torch.Tensor:
        """Rearrange from one side to the other; a view where the strides allow one."""
        from einops import rearrange

        moved: torch.Tensor = rearrange(tensor, f"{_write(source)} -> {_write(target)}", **self.lengths)
        return moved


def default_pattern(shape: Sequence[int]) -> str:
    """The last axis is channels and all others are tokens; a vector is one token, a scalar one value."""
    axes = len(shape)
    if axes < 5:
        return ("-> 1 1", "c -> 1 c", "t c -> t c", "b t c -> (b t) c", "b h w c -> (b h w) c")[axes]
    rest = " ".join(f"a{index}" for index in range(axes - 1))
    return f"{rest} c -> ({rest}) c"


@lru_cache(maxsize=1024)
def parse(pattern: str) -> Pattern:
    """Check a pattern by itself, before any shape is known."""
    arrow, _, sizes = pattern.partition(",")
    if arrow.count("->") != 1:
        raise BadArgument(f"pattern {pattern!r} needs exactly one '->'", _CURE)
    left, right = (_side(pattern, side) for side in arrow.split("->"))
    parsed = Pattern(pattern, left, right, _sizes(pattern, sizes))
    if len(right) != 2:
        raise BadArgument(f"pattern {pattern!r} has {len(right)} axes on its right, two are needed", _CURE)
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
            raise BadArgument(f"pattern {pattern!r} gives a size to {name!r}, which is no axis of it", _CURE)
    if any(ELLIPSIS in group and len(group) > 1 for group in left):
        raise BadArgument(f"pattern {pattern!r} has '...' in a group on its left", "let '...' stand alone there")
    return parsed


def _side(pattern: str, text: str) -> Groups:
    """One side of the arrow as groups; `1` and `()` are both the empty group."""
    groups: list[tuple[str, ...]] = []
    open_group: list[str] | None = None
    for word in _WORD.findall(text):
        if (word == "(") == (open_group is not None) and word in "()":
            raise BadArgument(f"pattern {pattern!r} has unbalanced parentheses", _CURE)
        if word == "(":
            open_group = []
        elif word == ")":
            groups.append(tuple(open_group or ()))
            open_group = None
        elif word == "1":
            if open_group is None:
                groups.append(())
        else:
            _check_name(pattern, word)
            groups.append((word,)) if open_group is None else open_group.append(word)
    if open_group is not None:
        raise BadArgument(f"pattern {pattern!r} has unbalanced parentheses", _CURE)
    return tuple(groups)


def _check_name(pattern: str, word: str) -> None:
    if word == ELLIPSIS:
        return
    if word.isdigit():
        raise BadArgument(
            f"pattern {pattern!r}: {word} is no axis, only 1 may stand as a number",
            f"name the axis and give its size behind a comma: ', n={word}'",
        )
    if not word.isidentifier() or word.endswith("_") or iskeyword(word):
        raise BadArgument(f"pattern {pattern!r}: {word!r} can be no axis name", _CURE)


def _sizes(pattern: str, text: str) -> tuple[tuple[str, int], ...]:
    """The sizes behind the comma: `, b=8, c=2`."""
    sizes: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"([A-Za-z]\w*)\s*=\s*([1-9]\d{0,9})", item)
        if match is None or match[1] in sizes:
            raise BadArgument(
                f"pattern {pattern!r}: {item!r} is no size of an axis", "write one ', name=number' an axis"
            )
        sizes[match[1]] = int(match[2])
    return tuple(sizes.items())


def _spread(pattern: Pattern, axes: int) -> tuple[Groups, Groups]:
    """Both sides with `...` replaced by as many fresh names as the shape has axes to spare."""
    if (ELLIPSIS,) not in pattern.left:
        return pattern.left, pattern.right
    taken = {name for group in pattern.left for name in group}
    fresh = (name for name in (f"rest{index}" for index in range(axes + len(taken))) if name not in taken)
    names = tuple(next(fresh) for _ in range(axes - len(pattern.left) + 1))
    at = pattern.left.index((ELLIPSIS,))
    left = (*pattern.left[:at], *((name,) for name in names), *pattern.left[at + 1 :])
    right = tuple(
        tuple(part for name in group for part in (names if name == ELLIPSIS else (name,))) for group in pattern.right
    )
    return left, right


def _bind_group(
    text: str, group: tuple[str, ...], length: int, shape: tuple[int, ...], lengths: dict[str, int]
) -> None:
    """Find the one unknown length of a group, or check that the known ones multiply to the axis."""
    unknown = [name for name in group if name not in lengths]
    known = math.prod(lengths[name] for name in group if name in lengths)
    if len(unknown) > 1:
        raise BadArgument(
            f"pattern {text!r}: the sizes of {unknown} in an axis of {length} cannot be told from the shape {shape}",
            f"give all but one behind a comma: '{text}, {unknown[-1]}=2'",
        )
    if length < 0 or length % known or (not unknown and known != length):
        raise BadArgument(
            f"pattern {text!r} does not fit the shape {shape}:"
            f" {' x '.join(group) or '1'} makes {known}, the axis has {length}",
            "correct the sizes behind the comma or the literal 1, or leave the pattern out to take the default",
        )
    if unknown:
        lengths[unknown[0]] = length // known


def _write(groups: Groups) -> str:
    return " ".join("1" if not group else group[0] if len(group) == 1 else f"({' '.join(group)})" for group in groups)
