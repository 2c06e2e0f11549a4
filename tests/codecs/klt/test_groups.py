"""Features of one sample coded together: fewer bits, each with its own dtype and figures, each read by itself."""

import numpy as np
import pytest
import torch

from lamofc_codecs import CodecError, CorruptRecord, Quality, UnsupportedInput, decode, encode, fit, inspect
from lamofc_codecs.record.framing import pack, sections

NAMES = ("a", "b", "c")
MIXING = torch.randn(24, 160, generator=torch.Generator().manual_seed(0))


def sample(seed: int, tokens: int = 90) -> dict[str, torch.Tensor]:
    """Three images of one stream, of unlike scales."""
    draw = torch.Generator().manual_seed(seed)
    stream = torch.randn(tokens, 24, generator=draw) @ MIXING + 0.2 * torch.randn(tokens, 160, generator=draw)
    return {"c": stream[:, 128:].bfloat16(), "a": stream[:, :64], "b": (30 * stream[:, 64:128]).half()}


SAMPLES = [sample(-seed) for seed in range(1, 25)]
PROFILE = fit("klt", SAMPLES, Quality(snr_db=15))


def test_a_group_costs_less_than_its_features_apart() -> None:
    sources = [sample(seed) for seed in range(5)]
    together = sum(record.payload_bits for record in encode(sources, PROFILE))
    apart = 0
    for name in NAMES:
        profile = fit("klt", [one[name] for one in SAMPLES], Quality(snr_db=15))
        apart += sum(record.payload_bits for record in encode([one[name] for one in sources], profile))
    assert together < 0.6 * apart


def test_each_feature_comes_back_in_its_own_dtype_with_its_own_figures() -> None:
    source = sample(7)
    source["b"][3, 4] = 60000.0
    record = encode([source], PROFILE)[0]
    header = inspect(record.data)
    assert (header.parts, header.channels, header.tokens) == (3, (64, 64, 32), (90,))
    decoded = decode([record.data], PROFILE)
    for name, tensor, part in zip(NAMES, decoded, record.parts, strict=True):
        assert (part.name, tensor.dtype, tensor.shape) == (name, source[name].dtype, source[name].shape)
        error = (tensor.double() - source[name].double()).square().sum()
        assert float(error) == pytest.approx(part.sse, rel=1e-6)
        assert part.elements == tensor.numel()
        assert 10 * np.log10(part.signal / part.bulk_sse) == pytest.approx(15, abs=1.5)
        assert part.layers[-1] == part.sse
    assert decoded[1][3, 4] == 60000.0
    assert sum(part.sse for part in record.parts) == pytest.approx(record.sse)
    shares = [part.signal / part.bulk_sse for part in record.parts]
    assert 10 * np.log10(1 / np.average(1 / np.array(shares), weights=[64, 64, 32])) == pytest.approx(15, abs=0.2)


def test_each_feature_is_read_by_itself_and_at_any_layer() -> None:
    record = encode([sample(8)], PROFILE)[0]
    whole = decode([record.data], PROFILE)
    for part in range(3):
        assert torch.equal(decode([record.data], PROFILE, parts=[part])[0], whole[part])
    swapped = decode([record.data], PROFILE, parts=[2, 0])
    assert torch.equal(swapped[0], whole[2])
    assert torch.equal(swapped[1], whole[0])
    room = [torch.empty(90, 64), torch.empty(90, 64)]
    assert torch.equal(decode([record.data], PROFILE, parts=[1, 0], out=room)[0], whole[1].float())
    assert len(record.layers) > 1
    prefix = record.data[: record.layers[0].bytes]
    error = (decode([prefix], PROFILE, parts=[0])[0] - sample(8)["a"]).double().square().sum()
    assert float(error) == pytest.approx(record.parts[0].layers[0], rel=1e-6)


def test_a_group_without_tokens() -> None:
    record = encode([sample(9, tokens=0)], PROFILE)[0]
    assert [tuple(tensor.shape) for tensor in decode([record.data], PROFILE)] == [(0, 64), (0, 64), (0, 32)]
    assert [part.sse for part in record.parts] == [0.0, 0.0, 0.0]


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(UnsupportedInput, match=r"codes \['a', 'b', 'c'\], got \['a'\]"):
        encode([{"a": sample(1)["a"]}], PROFILE)
    with pytest.raises(UnsupportedInput, match="jointly, got one feature"):
        encode([sample(1)["a"]], PROFILE)
    with pytest.raises(UnsupportedInput, match="share their tokens"):
        encode([{**sample(1), "a": torch.zeros(5, 64)}], PROFILE)
    with pytest.raises(CodecError, match="share their tokens"):
        fit("klt", [{**sample(1), "a": torch.zeros(5, 64)}], Quality(snr_db=15))
    with pytest.raises(CodecError, match=r"a group of \['a'\]"):
        fit("klt", [{"a": torch.randn(20, 8)}], Quality(snr_db=15))
    with pytest.raises(CodecError, match="a sample of the group"):
        fit("klt", [sample(1), {"a": sample(1)["a"], "b": sample(1)["b"]}], Quality(snr_db=15))


def test_damage_in_a_group_is_found() -> None:
    record = encode([sample(10, tokens=8)], PROFILE)[0]
    for place in range(0, len(record.data), 7):
        damaged = bytearray(record.data)
        damaged[place] ^= 4
        with pytest.raises(CorruptRecord):
            decode([damaged], PROFILE)
    header, draw = inspect(record.data), np.random.default_rng(3)
    honest = [bytes(part) for part in sections(record.data, header)]
    for trial in range(150):
        forged = bytearray(honest[trial % len(honest)])
        forged[min(int(draw.exponential(30)), len(forged) - 1)] ^= 1 << draw.integers(8)
        parts = [[bytes(forged) if number == trial % len(honest) else part] for number, part in enumerate(honest)]
        try:
            found = decode([pack(header.number, header.profile, header.grid, parts)], PROFILE)
        except CorruptRecord:
            continue
        assert [tuple(tensor.shape) for tensor in found] == [(8, 64), (8, 64), (8, 32)]
