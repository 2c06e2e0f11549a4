"""Fits of scales: levels placed on samples, or ranges as options set them, of one feature or of each of a group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.codebook import Levels, checked_levels, fit_levels
from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.learned.options import PlaneOptions
from lamofc_codecs.learned.pixels import LevelScale, RangeScale, Scale
from lamofc_codecs.options import parse_options
from lamofc_codecs.plane import PlaneParts, checked_ranges, for_each, separate, side_by_side
from lamofc_codecs.runtime import convert
from lamofc_codecs.stats import Bulk, collect_statistics


@dataclass(frozen=True)
class FittedScale:
    """The scale of a plane as a profile keeps it."""

    config: dict[str, Any]
    levels: Tensor | None
    """The levels, a row for each feature of a group; None where values are scaled to a range."""
    bulk: Bulk | None


def fit_scale(samples: Iterable[Any], options: PlaneOptions) -> FittedScale:
    """Place the levels on samples, or take the ranges that the options set."""
    parts, columns = separate(samples)
    config = {name: value for name, value in options.to_json().items() if name != "weights"} | parts.to_json()
    if "range" in config:
        checked_ranges(config["range"], parts.count)
        statistics = [collect_statistics(column) for column in columns]
        bulks = [one.finish()[0] for one in statistics if one.tokens]
        return FittedScale(config, None, side_by_side(bulks) if bulks else None)
    given = zip(columns, for_each(options.levels, parts.count), strict=True)
    placed = [fit_levels(column, levels, options.bits, options.device) for column, levels in given]
    if len({len(levels) for levels, _, _ in placed}) > 1:
        raise UnsupportedInput("features of a group with unlike numbers of levels", "give all as many")
    levels = np.stack([levels for levels, _, _ in placed]) if parts.parts else placed[0][0]
    bulks = [bulk for _, _, bulk in placed if bulk is not None]
    return FittedScale(config, torch.from_numpy(levels), side_by_side(bulks) if bulks else None)


def scale_of(ranges: Any, levels: Tensor | None, assign: object, parts: PlaneParts) -> Scale:
    """Return the scale of ranges or levels, and check them, because a profile may come from anybody."""
    if ranges is not None or levels is None:
        return RangeScale(checked_ranges(ranges, parts.count))
    rows = levels.numpy().reshape(parts.count, -1)
    return LevelScale([Levels(checked_levels(row), assign) for row in rows])


def training_planes(
    samples: Sequence[Any], features: Sequence[str] = (), *, fit_samples: int = 10, **options: Any
) -> Iterator[Tensor]:
    """Yield samples as planes of kept pixels, on which networks are trained: level indices, or float32 from 0 to 1.

    A sample is tokens x channels, or a mapping of the features of a group. The options are those of `fit`, without
    weights; levels are placed on the first few samples.
    """
    parsed = parse_options(PlaneOptions, options, "planes to train on").for_features(features)
    fitted = fit_scale(islice(samples, fit_samples), parsed)
    parts = PlaneParts.of(fitted.config)
    scale = scale_of(fitted.config.get("range"), fitted.levels, fitted.config.get("assign", "nearest"), parts)
    for sample in samples:
        tensors = [sample[name] for name in parts.names] or [sample]
        values = (convert(tensor.contiguous(), torch.float32).numpy() for tensor in tensors)
        yield torch.cat([scale.keep(part, own) for part, own in enumerate(values)], 1)
