"""Samples of a group: their features side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from lamofc_codecs.errors import CodecError
from lamofc_codecs.runtime import convert

Parts = tuple[tuple[str, int], ...]
"""Names and channels of the features of a group."""


def join_parts(samples: Iterable[Any]) -> tuple[Parts, Iterator[Tensor]]:
    """Return the parts of a group and its samples as one tensor each; no parts for single features."""
    stream = iter(samples)
    first = next(stream, None)
    every: Iterator[Any] = iter(()) if first is None else chain([first], stream)
    if not isinstance(first, Mapping):
        return (), every
    parts = tuple((name, int(first[name].shape[1])) for name in sorted(first))
    if len(parts) < 2:
        raise CodecError(f"a group of {[name for name, _ in parts]}", "give two features or more, or a tensor each")
    return parts, (_side_by_side(sample, parts) for sample in every)


def _side_by_side(sample: Tensor | Mapping[str, Tensor], parts: Parts) -> Tensor:
    names = [name for name, _ in parts]
    if not isinstance(sample, Mapping) or sorted(sample) != names:
        names_in_sample = sorted(sample) if isinstance(sample, Mapping) else "a tensor"
        raise CodecError(f"a sample of the group {names} is {names_in_sample}", "give the same features")
    lengths = [len(sample[name]) for name in names]
    if len(set(lengths)) != 1:
        raise CodecError(f"features of {lengths} tokens; those of a group share their tokens", "fit them apart")
    return torch.cat([convert(sample[name].detach().cpu(), torch.float32) for name in names], 1)
