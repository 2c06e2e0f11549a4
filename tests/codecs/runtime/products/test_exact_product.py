"""Products of int8 matrices are exact, however the operands lie in memory and whatever torch's own product does."""

import time
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from lamofc_codecs import Quality, decode, encode, fit
from lamofc_codecs.runtime.products.exact_product import (
    fastest_product,
    int8_matmul,
    product_by_floats,
    product_by_pairs,
    two_byte_matmul,
)
from lamofc_codecs.runtime.products.pair_product import HAS_PAIRS

PRODUCTS = {"bytes": torch._int_mm, "floats": product_by_floats}
if HAS_PAIRS:
    PRODUCTS["pairs"] = product_by_pairs
SHAPES = [(1, 1, 1), (1, 8, 24), (1, 15, 1), (2, 1, 3), (17, 33, 1), (17, 1, 8), (33, 40, 48)]
STRIDES: dict[str, Callable[[Tensor], Tensor]] = {
    "row-major": Tensor.contiguous,
    "column-major": lambda matrix: matrix.T.contiguous().T,
    "every other": lambda matrix: torch.stack([matrix, matrix], 2)[:, :, 0],
    "cut out": lambda matrix: torch.cat([matrix, matrix], 1)[:, : matrix.shape[1]],
    "ones": lambda matrix: matrix.as_strided(matrix.shape, (1, 1)) if 1 in matrix.shape else matrix,
}


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """Forget what was found out about `torch._int_mm`, before and after."""
    fastest_product.cache_clear()
    yield
    fastest_product.cache_clear()


def matrices(shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(sum(shape))
    left, right = (torch.randint(-128, 128, size, generator=draw) for size in (shape[:2], shape[1:]))
    return left.to(torch.int8), right.to(torch.int8)


@pytest.mark.parametrize("right_strides", STRIDES)
@pytest.mark.parametrize("left_strides", STRIDES)
@pytest.mark.parametrize("shape", SHAPES)
def test_strides_change_nothing(shape: tuple[int, int, int], left_strides: str, right_strides: str) -> None:
    left, right = matrices(shape)
    expected = left.to(torch.int64) @ right.to(torch.int64)
    for _ in range(5):
        torch.full(expected.shape, 77, dtype=torch.int32)  # what uninitialised memory would then hold
        for product in (int8_matmul, *(taken for taken in PRODUCTS.values() if taken is not torch._int_mm)):
            found = product(STRIDES[left_strides](left), STRIDES[right_strides](right))
            assert found.dtype == torch.int32
            assert torch.equal(found.to(torch.int64), expected)


def test_empty_products_are_zeros() -> None:
    assert (
        int8_matmul(torch.empty(3, 0, dtype=torch.int8), torch.empty(0, 2, dtype=torch.int8)).tolist() == [[0, 0]] * 3
    )


def wrong(left: Tensor, right: Tensor) -> Tensor:
    return torch.zeros(len(left), right.shape[1], dtype=torch.int32)


def refused(left: Tensor, right: Tensor) -> Tensor:
    raise RuntimeError("not on this device")


@pytest.mark.parametrize("taken", [wrong, refused, None])
def test_a_wrong_or_missing_product_of_torch_is_not_used(
    taken: Callable[[Tensor, Tensor], Tensor] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if taken is None:
        monkeypatch.delattr(torch, "_int_mm")
    else:
        monkeypatch.setattr(torch, "_int_mm", taken)
    left, right = matrices((17, 33, 8))
    assert torch.equal(int8_matmul(left, right).to(torch.int64), left.to(torch.int64) @ right.to(torch.int64))
    assert fastest_product(torch.device("cpu")) in (product_by_floats, product_by_pairs)


@pytest.mark.parametrize("inner", [1023, 1024, 1025, 4097])
def test_floats_are_exact_at_the_largest_sums(inner: int) -> None:
    left, right = torch.full((2, inner), -128, dtype=torch.int8), torch.full((inner, 3), -128, dtype=torch.int8)
    left[1], right[:, 2], right[0, 2] = 127, 127, 126
    expected = left.to(torch.int64) @ right.to(torch.int64)
    assert torch.equal(product_by_floats(left, right).to(torch.int64), expected)


@pytest.mark.parametrize("largest", [3, 127])
@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("precision", ["highest", "medium"])
@pytest.mark.parametrize("zeros", [0.0, 0.8, 0.99])
def test_two_bytes_are_multiplied_exactly(
    largest: int, product: str, precision: str, zeros: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lamofc_codecs.runtime.products.exact_product.fastest_product", lambda device: PRODUCTS[product]
    )
    generator = torch.Generator().manual_seed(largest)
    low = torch.randint(-64, 64, (40, 2000), generator=generator).to(torch.int8)
    high = torch.randint(-largest, largest + 1, (40, 1200), generator=generator).to(torch.int8)
    right = torch.randint(-128, 128, (2000, 24), generator=generator).to(torch.int8)
    low[torch.rand(low.shape, generator=generator) < zeros] = 0
    high[torch.rand(high.shape, generator=generator) < zeros] = 0
    values = low.to(torch.int64)
    values[:, :1200] += 128 * high.to(torch.int64)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        found = two_byte_matmul(low[:, :1500], high, right), two_byte_matmul(low[:30, :90], high[:30, :9], right)
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(found[0].to(torch.int64), values[:, :1500] @ right[:1500].to(torch.int64))
    narrow = low[:30, :90].to(torch.int64)
    narrow[:, :9] += 128 * high[:30, :9].to(torch.int64)
    assert torch.equal(found[1].to(torch.int64), narrow @ right[:90].to(torch.int64))


def test_the_faster_product_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(left: Tensor, right: Tensor) -> Tensor:
        time.sleep(0.05)
        return product_by_floats(left, right)

    monkeypatch.setattr("lamofc_codecs.runtime.products.exact_product.HAS_PAIRS", False)
    monkeypatch.setattr(torch, "_int_mm", slow)
    assert fastest_product(torch.device("cpu")) is product_by_floats
    fastest_product.cache_clear()
    monkeypatch.setattr(torch, "_int_mm", product_by_floats)
    monkeypatch.setattr("lamofc_codecs.runtime.products.exact_product.product_by_floats", slow)
    assert fastest_product(torch.device("cpu")) is torch._int_mm


def test_one_token_coded_by_ranges_of_channels_decodes_to_itself() -> None:
    """Columns of a range are cut out of a matrix of one row."""
    draw = torch.Generator().manual_seed(1)
    samples = [torch.randn(200, 72, generator=draw) for _ in range(8)]
    profile = fit("klt", samples, Quality(snr_db=20), ranges=3)
    token = torch.randn(1, 72, generator=draw)
    (record,) = encode([token], profile, quality=Quality(step=0.05))
    for _ in range(20):
        (decoded,) = decode([record.data], profile)
        assert float((decoded - token).abs().max()) < 0.2
        assert encode([token], profile, quality=Quality(step=0.05))[0].data == record.data
