"""Batches of `klt` records decoded on a device: a few launches for all of them, the same values as on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.codec import require
from lamofc_codecs.entropy import read_exact_parts
from lamofc_codecs.klt.format import KltParameters, Opened, open_layers
from lamofc_codecs.klt.gpu.levels import Laid, first_level, next_level
from lamofc_codecs.klt.gpu.reconstruct import parts_of, values_of
from lamofc_codecs.klt.gpu.symbols import Entropy
from lamofc_codecs.runtime import as_dtype
from lamofc_codecs.source import DecodeRequest

_ELEMENTS = 1 << 26
"""Numbers that are decoded together; what stands between the stages takes some tens of bytes for each."""


def decode_together(wanted: Sequence[DecodeRequest], known: KltParameters, device: torch.device) -> list[list[Tensor]]:
    """The wanted parts of each record, on the device."""
    found: list[list[Tensor]] = [[] for _ in wanted]
    opened: list[tuple[int, Opened]] = []
    for number, one in enumerate(wanted):
        if one.tokens and sum(one.channels):
            opened.append((number, open_layers(one.layers, one.tokens, one.channels, known)))
        else:
            require(not any(map(len, one.layers)), "layers of an empty tensor")
            shapes = [(one.tokens, one.channels[part], one.dtypes[part]) for part in one.parts]
            found[number] = [torch.empty(t, c, dtype=dtype, device=device) for t, c, dtype in shapes]
    most = max(1, _ELEMENTS // max([1, *(one.tokens * known.columns for one in wanted)]))
    for start in range(0, len(opened), most):
        some = opened[start : start + most]
        decoded = _decode([one for _, one in some], [wanted[number] for number, _ in some], known, device)
        for (number, _), tensors in zip(some, decoded, strict=True):
            found[number] = tensors
    return found


def _decode(
    opened: Sequence[Opened], wanted: Sequence[DecodeRequest], known: KltParameters, device: torch.device
) -> list[list[Tensor]]:
    batch, entropy, order = _lay(opened, known, device)
    numbers = torch.zeros(len(order), max(laid.runs[-1].columns for laid in batch), dtype=torch.int32, device=device)
    before = None
    first_level(batch, entropy, order, numbers)
    for level in range(1, max(len(laid.runs) for laid in batch)):
        before = _kept(batch, level, numbers, before)
        next_level(batch, level, entropy, order, numbers)
    parts = parts_of(batch, known, order, numbers, before)
    entropy.check()
    return _tensors(batch, wanted, known, parts)


def _lay(opened: Sequence[Opened], known: KltParameters, device: torch.device) -> tuple[list[Laid], Entropy, Tensor]:
    """Where each record's bytes, runs and tokens are; and the tokens of all records as they are sorted."""
    batch: list[Laid] = []
    pieces: list[memoryview] = []
    orders, row = [], 0
    for one in opened:
        tokens = one.side.tokens
        runs = tuple(one.head.runs_of(level, tokens, known) for level in range(1 + len(one.later)))
        mine = [one.base, *(layer for level in one.later for layer in level)]
        batch.append(Laid(one, row, runs, tuple(range(len(pieces), len(pieces) + len(mine)))))
        pieces += mine
        orders.append(tokens.order + row)
        row += tokens.count
    return batch, Entropy(pieces, device), torch.from_numpy(np.concatenate(orders)).to(device)


def _kept(batch: Sequence[Laid], level: int, numbers: Tensor, before: Tensor | None) -> Tensor | None:
    """The numbers before a level of which some records have not all layers."""
    for laid in batch:
        if len(laid.opened.later) == level and laid.opened.known is not None:
            before = torch.zeros_like(numbers) if before is None else before
            before[laid.rows] = numbers[laid.rows]
    return before


def _tensors(
    batch: Sequence[Laid], wanted: Sequence[DecodeRequest], known: KltParameters, parts: Tensor
) -> list[list[Tensor]]:
    """Each record's wanted parts, in their dtypes, exact values in place."""
    outs: list[list[Tensor | None]] = [[None] * len(one.channels) for one in wanted]
    for part, (first, last) in enumerate(zip(known.bounds, known.bounds[1:], strict=False)):
        if any(part in one.parts for one in wanted):
            values = values_of(batch, known, parts, slice(first, last))
            for laid, one, out in zip(batch, wanted, outs, strict=True):
                if part in one.parts:
                    out[part] = as_dtype(values[laid.rows], one.dtypes[part]).contiguous()
    for laid, out in zip(batch, outs, strict=True):
        if len(laid.opened.exact):
            read_exact_parts(laid.opened.exact, out)
    return [[out[part] for part in one.parts] for one, out in zip(wanted, outs, strict=True)]  # type: ignore[misc]
