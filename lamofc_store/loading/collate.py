"""Collation: tensors of equal shape are stacked; those of different lengths are listed, padded or packed."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument

Ragged = Literal["stack", "list", "pad", "pack"]


class Padded(NamedTuple):
    """Samples padded with zeros to the length of the longest."""

    values: Tensor
    mask: Tensor
    """Samples x tokens: True where a token is real."""


class Joined(NamedTuple):
    """Samples end to end along their token axis."""

    values: Tensor
    offsets: Tensor
    """Start of each sample, and the end of the last: one number more than there are samples."""


def check_ragged(ragged: str) -> None:
    """Raise BadArgument unless the name is one of `Ragged`."""
    if ragged not in get_args(Ragged):
        raise BadArgument(f"ragged={ragged!r}", f"give one of {', '.join(get_args(Ragged))}")


def collate_feature(feature: str, tensors: Sequence[Tensor], ragged: Ragged) -> Any:
    """Collate one feature of all samples of a batch."""
    if ragged == "list":
        return list(tensors)
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if ragged == "stack":
        if len(shapes) > 1:
            raise _unequal_shapes(feature, shapes)
        return torch.stack(list(tensors))
    axis = _token_axis(feature, shapes)
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


def _unequal_shapes(feature: str, shapes: "set[tuple[int, ...]]") -> BadArgument:
    first, *_, last = sorted(shapes)
    return BadArgument(
        f"samples of feature {feature!r} have the shapes {first} and {last} in one batch, which do not stack",
        "FeatureLoader(..., ragged='list'), 'pad' or 'pack'",
    )


def _token_axis(feature: str, shapes: "set[tuple[int, ...]]") -> int:
    """Return the token axis: the one before the last, or the only one of vectors. All other axes must be equal."""
    ranks = {len(shape) for shape in shapes}
    axis = max(ranks.pop() - 2, 0) if len(ranks) == 1 else -1
    if axis < 0 or len({shape[:axis] + shape[axis + 1 :] for shape in shapes}) > 1 or () in shapes:
        ordered = sorted(shapes)
        raise BadArgument(
            f"samples of feature {feature!r} have the shapes {ordered[0]} and {ordered[-1]}, which differ in more"
            " than their tokens",
            "FeatureLoader(..., ragged='list')",
        )
    return axis


def collate_targets(values: Sequence[Any]) -> Any:
    """Collate targets: numbers to one tensor, tensors of one shape to a stack, anything else to a list."""
    if all(isinstance(value, Tensor) for value in values):
        alike = len({(tuple(value.shape), value.dtype) for value in values}) == 1
        return torch.stack(list(values)) if alike else list(values)
    if all(isinstance(value, bool | int) for value in values):
        return torch.tensor(values, dtype=torch.int64)
    if all(isinstance(value, bool | int | float) for value in values):
        return torch.tensor(values, dtype=torch.float32)
    return list(values)
