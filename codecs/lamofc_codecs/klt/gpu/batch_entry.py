"""Records of a batch, and the places of their levels in one matrix of tokens x columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.klt.format import OpenedLayers
from lamofc_codecs.klt.layers import Runs

Ints = NDArray[np.int64]
ChosenRuns = tuple["BatchEntry", Runs, Ints]
"""A record, the runs of one of its refinement levels, and which of these runs are meant."""


@dataclass(frozen=True, eq=False)
class BatchEntry:
    """One record of a batch."""

    opened: OpenedLayers
    row: int
    """First token of the record among those of the batch."""
    runs: tuple[Runs, ...]
    """Runs of each refinement level that is present."""
    pieces: tuple[int, ...]
    """Indices into the pieces of the batch: the first refinement level, then the layers after it."""

    @property
    def rows(self) -> slice:
        """Tokens of the record among those of the batch."""
        return slice(self.row, self.row + self.opened.side.tokens.count)


@dataclass(frozen=True, eq=False)
class LevelPlaces:
    """Runs of several records, one after another, and the places of their levels."""

    lengths: Ints
    """Levels of each run."""
    run: Tensor
    """Run of each level."""
    within: Tensor
    """Index of each level within its run."""
    place: Tensor
    """Place of each level in tokens x columns."""

    @classmethod
    def of_runs(cls, chosen: Sequence[ChosenRuns], order: Tensor, columns: int) -> LevelPlaces:
        """Find the levels of some runs; `order` lists the tokens of each record as they are sorted."""
        first = np.concatenate([entry.row + runs.index[1][which] for entry, runs, which in chosen])
        column = np.concatenate([runs.index[0][which] for _, runs, which in chosen])
        lengths = np.concatenate([runs.index[2][which] for _, runs, which in chosen]).astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        # One transfer to the device for all of them.
        of_run = torch.from_numpy(np.stack([lengths, starts, first, column])).to(order.device)
        total = int(lengths.sum())
        run = torch.repeat_interleave(torch.arange(len(lengths), device=order.device), of_run[0], output_size=total)
        within = torch.arange(total, device=order.device) - of_run[1][run]
        return cls(lengths, run, within, order[of_run[2][run] + within] * columns + of_run[3][run])

    def spread(self, of_runs: NDArray[np.generic]) -> Tensor:
        """Repeat a value of each run for each of its levels."""
        return torch.from_numpy(np.ascontiguousarray(of_runs)).to(self.run.device)[self.run]
