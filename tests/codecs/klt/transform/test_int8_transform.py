"""The channel transform: what is left if only the first columns are kept, and one product in place of two."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lamofc_codecs.klt.transform import Analysis, Basis
from lamofc_codecs.klt.transform.factors import Factors

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


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("channels", [100, 1024, 1500, 4096])
def test_one_product_of_two_bytes_gives_what_two_products_of_bytes_give(
    channels: int, constant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Constant tokens and a constant column have the largest sums, which float32 may not hold beyond 1024 channels."""
    draw = torch.Generator().manual_seed(3)
    rows = torch.randn(8, channels, generator=draw)
    rows[0] = 1
    tokens = torch.randn(20, channels, generator=draw)
    if constant:
        tokens[:10] = torch.arange(1, 11)[:, None]
    joined = Analysis.of(Basis.from_floats(rows)).forward(tokens.numpy(), roughly=True)
    is_held: list[bool] = []
    holds = Factors.holds_sums_of

    def refuse(factors: Factors, *bytes_of_tokens: NDArray[np.int8]) -> bool:
        is_held.append(holds(factors, *bytes_of_tokens))
        return False

    monkeypatch.setattr(Factors, "holds_sums_of", refuse)
    apart = Analysis.of(Basis.from_floats(rows)).forward(tokens.numpy(), roughly=True)
    assert np.array_equal(joined, apart)
    assert is_held == [channels <= 1024 or not constant]
