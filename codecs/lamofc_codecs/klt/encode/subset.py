"""Records of some items of a record of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import exact_positions, write_exact_parts
from lamofc_codecs.klt.format import KltParameters, Side, read_layers, write_layers
from lamofc_codecs.klt.layers import previous_level
from lamofc_codecs.klt.quantise import Tokens


def keep_rows(
    layers: Sequence[memoryview], whole: Tensor, rows: NDArray[np.int64], known: KltParameters
) -> tuple[bytes, ...]:
    """Layers of the same numbers of some tokens, rising; `whole` is what all tokens decode to."""
    read = read_layers(layers, len(whole), known.widths, known)
    head, old = read.head, read.side
    tokens = Tokens.of(old.tokens.energy[rows])
    index, lifts = (None if some is None else some[rows] for some in (old.index, old.lifts))
    place = np.argsort(old.tokens.order)
    numbers = [np.ascontiguousarray(read.level.numbers[:, place[rows[tokens.order]]])]
    for width in head.columns[-2::-1]:
        numbers.insert(0, np.ascontiguousarray(previous_level(numbers[0])[:width]))
    coded = [(some, head.runs_of(at, tokens, known)) for at, some in enumerate(numbers)]
    exact = _exact(read.exact, whole, rows)
    return write_layers(head, coded, Side(tokens, index, old.field, lifts), known, exact, whole.nbytes >> 17)


def _exact(stored: memoryview, whole: Tensor, rows: NDArray[np.int64]) -> bytes:
    """The exact entries of some tokens."""
    if not len(stored):
        return b""
    left = whole[rows].contiguous()
    row, channel = np.divmod(exact_positions(stored, whole), whole.shape[1])
    place = np.full(len(whole), -1)
    place[rows] = np.arange(len(rows))
    there = place[row] >= 0
    positions = place[row[there]] * whole.shape[1] + channel[there]
    return write_exact_parts((positions,), (left,)) if len(positions) else b""
