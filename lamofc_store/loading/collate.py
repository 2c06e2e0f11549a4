"""What a batch looks like: tensors of equal shapes stacked, of different lengths listed, padded or joined."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument

Ragged = Literal["stack", "list", "pad", "pack"]


class Padded(NamedTuple):
    """Samples as long as the longest, zeros behind what is there."""

    values: Tensor
    mask: Tensor
    """Samples x tokens: what is there."""


class Joined(NamedTuple):
    """Samples end to end along their tokens."""

    values: Tensor
    offsets: Tensor
    """Where each begins, and the end: one more than samples."""


def check(ragged: str) -> None:
    """BadArgument unless it is one of the forms."""
    if ragged not in get_args(Ragged):
        raise BadArgument(f"ragged={ragged!r}", f"give one of {', '.join(get_args(Ragged))}")


def formed(feature: str, tensors: Sequence[Tensor], ragged: Ragged) -> Any:
    """One feature of all samples of a batch, in the form asked for."""
    if ragged == "list":
        return list(tensors)
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if ragged == "stack":
        if len(shapes) > 1:
            raise uneven(feature, shapes)
        return torch.stack(list(tensors))
    axis = _tokens_axis(feature, shapes)
    lengths = torch.tensor([tensor.shape[axis] for tensor in tensors])
    if ragged == "pack":
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        return Joined(torch.cat(list(tensors), dim=axis), offsets.to(tensors[0].device))
    return _padded(tensors, axis, lengths)


def _padded(tensors: Sequence[Tensor], axis: int, lengths: Tensor) -> Padded:
    longest, first = int(lengths.max()), tensors[0]
    shape = list(first.shape)
    shape[axis] = longest
    values = first.new_zeros([len(tensors), *shape])
    for row, tensor in zip(values, tensors, strict=True):
        row.narrow(axis, 0, tensor.shape[axis]).copy_(tensor)
    mask = torch.arange(longest) < lengths[:, None]
    return Padded(values, mask.to(first.device))


def uneven(feature: str, shapes: "set[tuple[int, ...]]") -> BadArgument:
    """What is said of samples that cannot be stacked."""
    one, other = sorted(shapes)[0], sorted(shapes)[-1]
    return BadArgument(
        f"samples of feature {feature!r} have the shapes {one} and {other} in one batch, which do not stack",
        "FeatureLoader(..., ragged='list'), 'pad' or 'pack'",
    )


def _tokens_axis(feature: str, shapes: "set[tuple[int, ...]]") -> int:
    """The axis before the last, of vectors the only one; all others must be equal."""
    axes = {len(shape) for shape in shapes}
    axis = max(axes.pop() - 2, 0) if len(axes) == 1 else -1
    if axis < 0 or len({shape[:axis] + shape[axis + 1 :] for shape in shapes}) > 1 or () in shapes:
        one, other = sorted(shapes)[0], sorted(shapes)[-1]
        raise BadArgument(
            f"samples of feature {feature!r} have the shapes {one} and {other}: not only their tokens differ",
            "FeatureLoader(..., ragged='list')",
        )
    return axis


def targets(values: Sequence[Any]) -> Any:
    """Numbers as one tensor, tensors of one shape stacked, anything else as a list."""
    if all(isinstance(value, Tensor) for value in values):
        same = len({(tuple(value.shape), value.dtype) for value in values}) == 1
        return torch.stack(list(values)) if same else list(values)
    if all(isinstance(value, bool | int) for value in values):
        return torch.tensor(values, dtype=torch.int64)
    if all(isinstance(value, bool | int | float) for value in values):
        return torch.tensor(values, dtype=torch.float32)
    return list(values)
