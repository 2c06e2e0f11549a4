"""Products of pairs are exact, also beyond whole panels, at the largest bytes and on several threads."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from lamofc_codecs.runtime.products.pair_product import HAS_PAIRS, pair_product

pytestmark = pytest.mark.skipif(not HAS_PAIRS, reason="this processor has no AVX2")


def random_bytes(rows: int, columns: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-128, 128, (rows, columns), generator=generator).to(torch.int8)


def by_integers(low: Tensor, high: Tensor, right: Tensor) -> Tensor:
    values = low.to(torch.int64)
    values[:, : high.shape[1]] += 128 * high.to(torch.int64)
    return values @ right.to(torch.int64)


@pytest.mark.parametrize("rows", [0, 1, 5, 6, 7, 13])
@pytest.mark.parametrize("inner", [1, 2, 3, 16, 33])
@pytest.mark.parametrize("columns", [0, 1, 15, 16, 17, 40])
def test_sums_are_those_of_integers(rows: int, inner: int, columns: int) -> None:
    low, right = random_bytes(rows, inner, 1), random_bytes(inner, columns, 2)
    for wide in {0, 1, inner - 1, inner}:
        high = random_bytes(rows, wide, 3)
        found = pair_product(low, high, right)
        assert found.dtype == torch.int32
        assert torch.equal(found.to(torch.int64), by_integers(low, high, right))


@pytest.mark.parametrize(
    ("low", "high", "right"),
    [((2, 10), (2, 0), (4, 3)), ((6, 4), (6, 0), (100, 16)), ((6, 4), (6, 9), (4, 3)), ((6, 4), (2, 3), (4, 3))],
)
def test_matrices_that_do_not_fit_are_refused(
    low: tuple[int, int], high: tuple[int, int], right: tuple[int, int]
) -> None:
    with pytest.raises(ValueError, match="cannot be multiplied"):
        pair_product(*(torch.ones(shape, dtype=torch.int8) for shape in (low, high, right)))


def test_nothing_to_add_up_is_zeros() -> None:
    nothing = torch.empty(3, 0, dtype=torch.int8)
    assert pair_product(nothing, nothing, torch.empty(0, 20, dtype=torch.int8)).tolist() == [[0] * 20] * 3


@pytest.mark.parametrize(("low", "high", "right"), [(-128, -128, -128), (127, 127, -128), (-128, -128, 127)])
def test_the_largest_bytes_of_a_thousand_channels_are_added_exactly(low: int, high: int, right: int) -> None:
    filled = [torch.full((2, 1001), value, dtype=torch.int8) for value in (low, high)]
    factors = torch.full((1001, 18), right, dtype=torch.int8)
    assert torch.equal(pair_product(*filled, factors).to(torch.int64), by_integers(*filled, factors))


def test_sums_beyond_32_bits_wrap_around_as_those_of_torch_do() -> None:
    low = high = torch.full((1, 4000), 127, dtype=torch.int8)
    factors = torch.full((4000, 1), 127, dtype=torch.int8)
    expected = by_integers(low, high, factors)
    assert int(expected) > 2**31
    assert torch.equal(pair_product(low, high, factors), expected.to(torch.int32))


@pytest.fixture(params=[2, 3, 7])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_threads_share_the_rows() -> None:
    low, high, right = random_bytes(301, 600, 1), random_bytes(301, 77, 2), random_bytes(600, 500, 3)
    assert low.numel() * right.shape[1] > 1 << 26
    assert torch.equal(pair_product(low, high, right).to(torch.int64), by_integers(low, high, right))


def test_parts_of_larger_matrices_are_multiplied_as_copies_of_them_are() -> None:
    low, right = random_bytes(20, 90, 1)[::2, 5:50], random_bytes(60, 70, 2).T[3:48, 10:40]
    found = pair_product(low, low[:, :7], right)
    assert torch.equal(found.to(torch.int64), by_integers(low, low[:, :7], right))
