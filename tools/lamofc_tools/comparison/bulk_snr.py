"""Signal and noise over the bulk, the same entries for every coder, with the statistics of the codecs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.stats import Bulk, collect_statistics, compute_sums, measure_distortion

Floats = NDArray[np.float32]


def fit_bulk(train: Sequence[Tensor]) -> Bulk:
    """Determine means and bounds of the channels by the rule of all codecs."""
    bulk, _ = collect_statistics(train).finish()
    return bulk


def bulk_signal(values: Floats, bulk: Bulk) -> float:
    """Sum the squared distances from the channel means, over the bulk."""
    return compute_sums(values, bulk).signal


def bulk_noise(values: Floats, decoded: Floats, bulk: Bulk) -> float:
    """Sum the squared errors, over the bulk."""
    return measure_distortion(values, decoded, bulk).bulk_sse
