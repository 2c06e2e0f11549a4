"""One source to the layers of a record: analysis, rate control, distortion, bitstream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import write_exact_parts
from lamofc_codecs.klt.encode.coefficients import analyse
from lamofc_codecs.klt.encode.distortion import layer_distortions
from lamofc_codecs.klt.encode.encode_to_target import encode_to_target
from lamofc_codecs.klt.encode.equalise import equalise_items
from lamofc_codecs.klt.format import KltParameters, write_layers
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
