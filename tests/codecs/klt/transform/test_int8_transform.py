"""The channel transform: what is left if only the first columns are kept."""

import numpy as np
import pytest
import torch

from lamofc_codecs.klt.transform import Analysis, Basis

TOKENS, COLUMNS, KEPT = 100, 96, 40


def remaining(channels: int, values: torch.Tensor) -> tuple[float, float]:
    """The squared error of the first columns of an orthonormal transform, as it is told and as it is."""
    rows = torch.linalg.qr(torch.randn(channels, COLUMNS, generator=torch.Generator().manual_seed(1)))[0].T
    analysis, tokens = Analysis.of(Basis.from_floats(rows)), values @ rows
    columns = np.ascontiguousarray(analysis.forward(tokens.numpy(), KEPT))
    decoded = torch.from_numpy(columns) @ analysis.matrix[:KEPT].to(torch.float32)
    return analysis.truncation_error(tokens.numpy(), columns), float((tokens - decoded).square().sum())


@pytest.mark.parametrize(("channels", "tolerance"), [(128, 1e-4), (1500, 0.08)])
def test_errors_that_point_many_ways_are_told_closely(channels: int, tolerance: float) -> None:
    told, found = remaining(channels, torch.randn(TOKENS, COLUMNS, generator=torch.Generator().manual_seed(2)))
    assert found > 0 and told == pytest.approx(found, rel=tolerance)


@pytest.mark.parametrize("column", range(KEPT, KEPT + 4))
def test_errors_that_point_one_way_are_told_roughly(column: int) -> None:
    values = torch.zeros(TOKENS, COLUMNS)
    values[:, column] = torch.randn(TOKENS, generator=torch.Generator().manual_seed(2))
    told, found = remaining(1500, values)
    assert told == pytest.approx(found, rel=0.5)
