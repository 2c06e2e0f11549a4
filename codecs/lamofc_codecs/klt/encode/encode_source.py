"""The layers of a record: of one source, by analysis, rate control and bitstream, or of some tokens of a record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import exact_positions, write_exact_parts
from lamofc_codecs.klt.encode.coefficients import analyse
from lamofc_codecs.klt.encode.distortion import layer_distortions
from lamofc_codecs.klt.encode.encode_to_target import encode_to_target
from lamofc_codecs.klt.encode.equalise import equalise_items
from lamofc_codecs.klt.format import KltParameters, SideInformation, read_layers, write_layers
from lamofc_codecs.klt.layers import previous_level
from lamofc_codecs.klt.quantise import TokenGroups
from lamofc_codecs.quality import Quality
from lamofc_codecs.source import Encoding, Source
from lamofc_codecs.stats import total_distortion

_VALUES_PER_BYTE_LOG2 = 17
"""A first layer has a byte for each 2 ** 17 bytes of its source, which a reader's limit on claims then allows."""


def encode_source(source: Source, outside: NDArray[np.bool_], parameters: KltParameters, quality: Quality) -> Encoding:
    """Code a source; entries `outside` the bulk, tokens x channels, are stored exactly."""
    coefficients = analyse(source, outside, parameters, quality)
    candidate, reached = encode_to_target(coefficients)
    coefficients, candidate = equalise_items(coefficients, candidate)
    quantised, exact = candidate.quantised, b""
    if any(map(len, candidate.exact)):
        exact = write_exact_parts(candidate.exact, source.tensors)
    layers = write_layers(
        candidate.head,
        list(zip(quantised.levels, quantised.runs, strict=True)),
        coefficients.side(quantised.tokens),
        parameters,
        exact,
        min_first_layer(source.nbytes),
    )
    errors = layer_distortions(coefficients, quantised, candidate.head, candidate.exact, candidate.distortion)
    several = len(source.items) > 1
    total = tuple(map(total_distortion, errors))
    return Encoding(layers, total, reached, () if several else errors, errors if several else ())


def min_first_layer(nbytes: int) -> int:
    """Bytes that the first layer of a source of so many bytes takes at the least."""
    return nbytes >> _VALUES_PER_BYTE_LOG2


def keep_rows(
    layers: Sequence[memoryview], decoded: Tensor, rows: NDArray[np.int64], parameters: KltParameters
) -> tuple[bytes, ...]:
    """Code the same levels of some tokens, rising; `decoded` holds the values of all tokens."""
    read = read_layers(layers, len(decoded), parameters.widths, parameters)
    head, side = read.head, read.side
    tokens = TokenGroups.from_classes(side.tokens.token_class[rows])
    index, gains = (None if values is None else values[rows] for values in (side.index, side.item_gains))
    place = np.argsort(side.tokens.order)
    levels = [np.ascontiguousarray(read.level.levels[:, place[rows[tokens.order]]])]
    for width in head.columns[-2::-1]:
        levels.insert(0, np.ascontiguousarray(previous_level(levels[0])[:width]))
    coded = [(every, head.runs_of(depth, tokens, parameters)) for depth, every in enumerate(levels)]
    exact = _exact_of_rows(read.exact, decoded, rows)
    side = SideInformation(tokens, index, side.grid, side.positions[rows], gains)
    return write_layers(head, coded, side, parameters, exact, min_first_layer(decoded.nbytes))


def _exact_of_rows(stored: memoryview, decoded: Tensor, rows: NDArray[np.int64]) -> bytes:
    """Code the exact entries of some tokens."""
    if not len(stored):
        return b""
    token, channel = np.divmod(exact_positions(stored, decoded), decoded.shape[1])
    place = np.full(len(decoded), -1)
    place[rows] = np.arange(len(rows))
    chosen = place[token] >= 0
    positions = place[token[chosen]] * decoded.shape[1] + channel[chosen]
    return write_exact_parts((positions,), (decoded[rows].contiguous(),)) if len(positions) else b""
