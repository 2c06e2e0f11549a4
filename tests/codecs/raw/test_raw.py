"""Codec raw: every bit of every dtype."""

import pytest
import torch

from lamofc_codecs import BadQuality, Quality, UnsupportedInput, decode, encode, fit
from lamofc_codecs.record.grid import DTYPES
from lamofc_codecs.testing.conformance import CodecConformance
from lamofc_codecs.testing.samples import feature

RAW = fit("raw", [])


class TestRaw(CodecConformance):
    codec = "raw"


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("name", sorted(DTYPES.values()))
@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (1, 1), (5, 7), (300, 40)])
def test_any_bits_of_any_dtype_come_back(name: str, shape: tuple[int, int]) -> None:
    dtype = getattr(torch, name)
    draw = torch.Generator().manual_seed(1)
    if dtype is torch.bool:
        source = torch.randint(0, 2, shape, generator=draw).to(torch.bool)
    else:
        size = shape[0] * shape[1] * dtype.itemsize
        source = torch.randint(0, 256, (size,), generator=draw, dtype=torch.uint8).view(dtype).reshape(shape)
    record = encode([source], RAW)[0]
    found = decode([record.data], None)[0]
    assert (found.dtype, found.shape, bits(found)) == (source.dtype, source.shape, bits(source))
    assert len(record.data) <= source.nbytes + 64


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_nan_payloads_and_negative_zeros_come_back(dtype: torch.dtype) -> None:
    words = {8: torch.int64, 4: torch.int32, 2: torch.int16}[dtype.itemsize]
    special = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1e-45], dtype=dtype)
    nans = (special.view(words)[4] + torch.arange(1, 60, dtype=words)).view(dtype)
    source = torch.cat([special, nans, -nans]).repeat(40)[None].contiguous()
    record = encode([source], RAW)[0]
    assert bits(decode([record.data], None)[0]) == bits(source)
    assert record.sse == record.max_error == 0


def test_an_exponent_plane_is_worth_coding() -> None:
    source = feature(400, 64, 1).to(torch.bfloat16)
    assert len(encode([source], RAW)[0].data) < 0.75 * source.nbytes


def test_constants_cost_nothing() -> None:
    assert len(encode([torch.full((500, 100), 1.5)], RAW)[0].data) < 100


def test_a_view_is_coded_as_it_looks() -> None:
    base = torch.arange(60.0).reshape(6, 10)
    for source in (base.T, base[:, ::2], torch.view_as_complex(base.reshape(6, 5, 2)).conj(), -base):
        assert torch.equal(decode([encode([source], RAW)[0].data], None)[0], source.resolve_conj())


def test_it_takes_no_target_and_no_option() -> None:
    with pytest.raises(BadQuality, match="raw cannot aim at snr_db=15"):
        encode([torch.ones(2, 2)], RAW, quality=Quality(snr_db=15))
    with pytest.raises(UnsupportedInput, match="no option"):
        fit("raw", [], level=3)
    assert encode([torch.ones(2, 2)], RAW, quality=Quality(lossless=True))[0].codec == "raw"


def test_noise_is_stored_rather_than_coded() -> None:
    source = torch.randn(200, 100, generator=torch.Generator().manual_seed(1))
    data = encode([source], RAW)[0].data
    assert [data[46 + 9 * plane] for plane in range(4)] == [0, 0, 0, 2]


def test_lazily_negated_and_conjugated_tensors() -> None:
    source = torch.randn(6, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(1)).conj()
    for lazy in (source, source.imag):
        assert torch.equal(decode([encode([lazy], RAW)[0].data], None)[0], lazy)
