"""Batches of `klt` records decoded on a device: a few launches for all of them, the same values as on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.codec import require
from lamofc_codecs.entropy import read_exact_parts
from lamofc_codecs.klt.format import KltParameters, OpenedLayers, open_layers
from lamofc_codecs.klt.gpu.batch_entry import BatchEntry
from lamofc_codecs.klt.gpu.levels import read_first_level, read_next_level
from lamofc_codecs.klt.gpu.reconstruct import sixteenths_of, values_of
from lamofc_codecs.klt.gpu.symbols import BatchBytes
from lamofc_codecs.runtime import as_dtype
from lamofc_codecs.source import DecodeRequest

_LEVELS_AT_ONCE = 1 << 26
"""Levels that are decoded together; intermediate values take some tens of bytes for each."""


def decode_together(
    requests: Sequence[DecodeRequest], parameters: KltParameters, device: torch.device
) -> list[list[Tensor]]:
    """Decode the requested parts of each record, on the device."""
    decoded: list[list[Tensor]] = [[] for _ in requests]
    opened: list[tuple[int, OpenedLayers]] = []
    for number, request in enumerate(requests):
        if request.tokens and sum(request.channels):
            layers = open_layers(request.layers, request.tokens, request.channels, parameters)
            opened.append((number, layers))
        else:
            require(not any(map(len, request.layers)), "layers of an empty tensor")
            shapes = [(request.tokens, request.channels[part], request.dtypes[part]) for part in request.parts]
            decoded[number] = [torch.empty(t, c, dtype=dtype, device=device) for t, c, dtype in shapes]
    largest = max([1, *(request.tokens * parameters.columns for request in requests)])
    at_once = max(1, _LEVELS_AT_ONCE // largest)
    for start in range(0, len(opened), at_once):
        group = opened[start : start + at_once]
        chosen = [requests[number] for number, _ in group]
        tensors = _decode([layers for _, layers in group], chosen, parameters, device)
        for (number, _), parts in zip(group, tensors, strict=True):
            decoded[number] = parts
    return decoded


def _decode(
    opened: Sequence[OpenedLayers], requests: Sequence[DecodeRequest], parameters: KltParameters, device: torch.device
) -> list[list[Tensor]]:
    batch, coded, order = _lay_out(opened, parameters, device)
    columns = max(entry.runs[-1].columns for entry in batch)
    levels = torch.zeros(len(order), columns, dtype=torch.int32, device=device)
    coarse = None
    read_first_level(batch, coded, order, levels)
    for depth in range(1, max(len(entry.runs) for entry in batch)):
        coarse = _copy_coarse(batch, depth, levels, coarse)
        read_next_level(batch, depth, coded, order, levels)
    sixteenths = sixteenths_of(batch, parameters, order, levels, coarse)
    coded.check()
    return _tensors(batch, requests, parameters, sixteenths)


def _lay_out(
    opened: Sequence[OpenedLayers], parameters: KltParameters, device: torch.device
) -> tuple[list[BatchEntry], BatchBytes, Tensor]:
    """Place the bytes and tokens of each record in the batch; return also the sorted tokens of all records."""
    batch: list[BatchEntry] = []
    pieces: list[memoryview] = []
    orders, row = [], 0
    for layers in opened:
        tokens = layers.side.tokens
        depths = range(1 + len(layers.refinements))
        runs = tuple(layers.head.runs_of(depth, tokens, parameters) for depth in depths)
        own = [layers.first, *(layer for refinement in layers.refinements for layer in refinement)]
        batch.append(BatchEntry(layers, row, runs, tuple(range(len(pieces), len(pieces) + len(own)))))
        pieces += own
        orders.append(tokens.order + row)
        row += tokens.count
    return batch, BatchBytes(pieces, device), torch.from_numpy(np.concatenate(orders)).to(device)


def _copy_coarse(batch: Sequence[BatchEntry], depth: int, levels: Tensor, coarse: Tensor | None) -> Tensor | None:
    """Copy the levels before a refinement level of which some records do not have all layers."""
    for entry in batch:
        if len(entry.opened.refinements) == depth and entry.opened.state is not None:
            coarse = torch.zeros_like(levels) if coarse is None else coarse
            coarse[entry.rows] = levels[entry.rows]
    return coarse


def _tensors(
    batch: Sequence[BatchEntry], requests: Sequence[DecodeRequest], parameters: KltParameters, sixteenths: Tensor
) -> list[list[Tensor]]:
    """Reconstruct the requested parts of each record in their dtypes, exact values in place."""
    outs: list[list[Tensor | None]] = [[None] * len(request.channels) for request in requests]
    for part, (first, last) in enumerate(zip(parameters.bounds, parameters.bounds[1:], strict=False)):
        if any(part in request.parts for request in requests):
            values = values_of(batch, parameters, sixteenths, slice(first, last))
            for entry, request, out in zip(batch, requests, outs, strict=True):
                if part in request.parts:
                    out[part] = as_dtype(values[entry.rows], request.dtypes[part]).contiguous()
    for entry, out in zip(batch, outs, strict=True):
        if len(entry.opened.exact):
            read_exact_parts(entry.opened.exact, out)
    return [
        [out[part] for part in request.parts]  # type: ignore[misc]
        for request, out in zip(requests, outs, strict=True)
    ]
