"""The figures of a record: of all its values, of each feature of a group, and of each item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
import torch

from lamofc_codecs.codec import Codec
from lamofc_codecs.record import Item, Part
from lamofc_codecs.runtime import Floats, convert
from lamofc_codecs.source import Encoding, Source
from lamofc_codecs.stats import Bulk, Distortion, Sums, compute_sums, item_distortions, sum_by_item


class FigureValues(TypedDict):
    """The fields of `record.Figures`."""

    elements: int
    sum: float
    sum_sq: float
    sse: float
    max_error: float
    signal: float
    bulk_sse: float
    weighted_sse: float | None


class LayerErrors(TypedDict):
    """The fields of `record.Part` and `record.Item` that speak of layers."""

    layers: tuple[float, ...]
    weighted_layers: tuple[float, ...]


def figures_of(elements: int, sums: Sums, error: Distortion) -> FigureValues:
    """Join the sums over a tensor with those over its error."""
    return {
        "elements": elements,
        "sum": sums.sum,
        "sum_sq": sums.sum_sq,
        "sse": error.sse,
        "max_error": error.max_error,
        "signal": sums.signal,
        "bulk_sse": error.bulk_sse,
        "weighted_sse": error.weighted_sse,
    }


def part_figures(names: Sequence[str], source: Source, encoding: Encoding) -> Iterator[Part]:
    """Yield the figures of each feature of a group."""
    for number, (name, tensor, sums) in enumerate(zip(names, source.tensors, source.part_sums, strict=True)):
        errors = [layer[number] for layer in encoding.part_errors]
        yield Part(**figures_of(tensor.numel(), sums, errors[-1]), name=name, **_layer_errors(errors))


def item_figures(source: Source, codec: Codec, encoding: Encoding) -> Iterator[Item]:
    """Yield the figures of each item."""
    bulk = codec.bulk if codec.bulk is not None and len(codec.bulk.mean) == source.values.shape[1] else None
    errors = _item_errors(source, codec, encoding, bulk)
    for item, (tokens, sums) in enumerate(zip(source.items, _item_sums(source, bulk), strict=True)):
        figures = figures_of(tokens * source.channels, sums, errors[-1][item])
        yield Item(**figures, **_layer_errors([layer[item] for layer in errors]))


def _layer_errors(errors: Sequence[Distortion]) -> LayerErrors:
    """Return the errors that remain with each layer."""
    weighted = (error.weighted_sse for error in errors)
    return {
        "layers": tuple(error.sse for error in errors),
        "weighted_layers": tuple(sse for sse in weighted if sse is not None),
    }


def _item_sums(source: Source, bulk: Bulk | None) -> list[Sums]:
    """Compute the sums over each item."""
    if bulk is None:
        return [compute_sums(values, None) for values in _split(source.values, source.items)]
    inside, finite = ~bulk.outside(source.values), np.isfinite(source.values)
    values = np.where(finite, source.values, 0).astype(np.float64)
    signal = np.square((values - bulk.mean) * inside)
    per_value = (values, values**2, signal, 1.0 * inside, 1.0 * ~finite)
    rows = np.stack([sum_by_item(plane.sum(1), source.items) for plane in per_value], 1).tolist()
    return [Sums(total, squares, signal, int(bulk_count), int(bad)) for total, squares, signal, bulk_count, bad in rows]


def _item_errors(source: Source, codec: Codec, encoding: Encoding, bulk: Bulk | None) -> list[tuple[Distortion, ...]]:
    """Return the error of each item for each prefix of the layers, by decoding if the codec did not measure it."""
    if encoding.item_errors:
        return list(encoding.item_errors)
    if not encoding.errors[-1].max_error:
        return [(encoding.errors[-1],) * len(source.items)] * len(encoding.layers)
    layers, errors = [memoryview(layer) for layer in encoding.layers], []
    for count in range(1, len(layers) + 1):
        decoded = torch.empty_like(source.tensor)
        codec.decode(layers[:count], decoded)
        errors.append(item_distortions(source.values, convert(decoded, torch.float32).numpy(), bulk, source.items))
    return errors


def _split(values: Floats, items: Sequence[int]) -> list[Floats]:
    return [np.ascontiguousarray(rows) for rows in np.split(values, np.cumsum(items)[:-1])]
