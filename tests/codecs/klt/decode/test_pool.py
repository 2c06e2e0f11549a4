"""Pooled records: what their decoded tokens come to, without decoding them."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from lamofc_codecs import (
    CorruptRecord,
    Pool,
    Profile,
    Quality,
    UnsupportedInput,
    decode,
    decode_pooled,
    encode,
    fit,
    keep,
)
from lamofc_codecs.klt.codec import Klt
from lamofc_codecs.klt.format.bitstream import read_layers
from lamofc_codecs.record.framing import parse, sections
from lamofc_codecs.testing.samples import feature, picture

POOLS = [Pool("mean", 1), Pool("mean"), Pool("cls"), Pool("cls+mean", 5), Pool("mean", 10_000)]
CHANNELS = 96


def pictures(count: int, seed: int) -> list[Tensor]:
    """Fields of tokens after a class token: they are coded as waves."""
    return [picture(12, 12, CHANNELS, seed + number, first=1) for number in range(count)]


def texts(count: int, seed: int) -> list[Tensor]:
    """Tokens of few kinds: they are coded with a codebook of means."""
    kinds = 20 * torch.randn(16, CHANNELS, generator=torch.Generator().manual_seed(1))
    draw = [torch.Generator().manual_seed(seed + number) for number in range(count)]
    return [kinds[torch.randint(16, (70,), generator=one)] + torch.randn(70, CHANNELS, generator=one) for one in draw]


@cache
def pictures_at_15_db() -> Profile:
    """A profile with a block DCT."""
    return fit("klt", pictures(40, 100), Quality(snr_db=15))


@cache
def texts_at_20_db() -> Profile:
    """A profile whose codebook size the fit chooses."""
    return fit("klt", texts(40, 100), Quality(snr_db=20))


FORMS: dict[str, tuple[Callable[[int, int], list[Tensor]], dict[str, Any]]] = {
    "waves": (pictures, {"layer_bytes": 64}),
    "means": (texts, {"means": 16, "layer_bytes": 64}),
    "no transform": (texts, {"transform": "none", "means": 0, "layer_bytes": 64}),
    "weighted": (texts, {"weight": torch.linspace(0.1, 3, CHANNELS), "layer_bytes": 64}),
}


@pytest.fixture(scope="module", params=FORMS)
def coded(request: pytest.FixtureRequest) -> tuple[Profile, list[bytes], list[Tensor]]:
    """Records of a form at 20 dB, in three layers, and their sources."""
    make, options = FORMS[request.param]
    profile = fit("klt", make(40, 100), Quality(snr_db=20), **options)
    sources = make(3, 1)
    return profile, [record.data for record in encode(sources, profile)], sources


def expected(records: list[bytes], profile: Profile, pool: Pool) -> list[Tensor]:
    """What the decoded tokens come to."""
    return [pool.of(tensor) for tensor in decode(records, profile, dtype=torch.float32)]


def check(found: list[Tensor], wanted: list[Tensor], atol: float = 2e-4) -> None:
    """Equal but for rounding."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.float32 and one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_pooled_is_what_the_tokens_come_to(coded: tuple[Profile, list[bytes], list[Tensor]], pool: Pool) -> None:
    profile, records, _ = coded
    check(decode_pooled(records, profile, pool), expected(records, profile, pool))


def test_forms_are_what_they_are_called() -> None:
    assert Klt(pictures_at_15_db()).parameters.grid_rule is not None
    assert Klt(fit("klt", texts(40, 100), Quality(snr_db=20), means=16)).parameters.codebook is not None


def test_of_every_prefix_of_the_layers(coded: tuple[Profile, list[bytes], list[Tensor]]) -> None:
    profile, records, _ = coded
    codec, pool = Klt(profile), Pool("cls+mean", 1)
    layers = sections(records[0], parse(records[0]))
    assert len(layers) >= 3
    tokens = len(decode(records[:1], profile)[0])
    for count in range(1, len(layers) + 1):
        whole = torch.empty(tokens, CHANNELS)
        codec.decode(layers[:count], whole)
        like = [parse_like(whole)]
        found = codec.pool(layers[:count], like, (0,), pool.weights(tokens))
        assert found is not None
        check(found, [pool.of(whole)])


def parse_like(tensor: Tensor) -> Any:
    """What a record of it says of its part."""
    from lamofc_codecs.source import PartShape

    return PartShape(tensor.shape[1], tensor.dtype)


@pytest.mark.parametrize("tokens_with_exact", [1, 40, 140])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_exact_entries_take_the_place_of_what_was_coded(tokens_with_exact: int, dtype: torch.dtype) -> None:
    profile = pictures_at_15_db()
    source = picture(12, 12, CHANNELS, 7, first=1).to(dtype)
    source[:tokens_with_exact, 3] = 1e4
    source[0, 5:8] = -3e4
    record = encode([source], profile)[0]
    for pool in POOLS:
        check(decode_pooled([record.data], profile, pool), expected([record.data], profile, pool), atol=5e-3)


def test_an_infinite_entry_reaches_only_the_rows_that_weigh_it() -> None:
    profile = fit("klt", texts(20, 100), Quality(snr_db=15), means=0, waves=False, nonfinite="exact")
    source = texts(1, 1)[0]
    source[7, 3], source[9, 4] = float("inf"), float("nan")
    record = encode([source], profile)[0].data
    found = decode_pooled([record], profile, Pool("cls+mean", 1))[0]
    whole = decode([record], profile)[0]
    torch.testing.assert_close(found.flatten()[:CHANNELS], whole[0], rtol=1e-4, atol=2e-4)
    means = found.flatten()[CHANNELS:]
    assert means[3] == float("inf") and means[4].isnan()
    assert int(means.isfinite().sum()) == CHANNELS - 2


def test_features_of_a_group_are_pooled_each() -> None:
    def sample(seed: int) -> dict[str, Tensor]:
        one, other = texts(2, seed)
        return {"a": one, "b": (one + other)[:, :40].bfloat16()}

    profile = fit("klt", [sample(seed) for seed in range(100, 130)], Quality(snr_db=20))
    source = sample(1)
    source["b"][2, 3] = 3e4
    record, pool = encode([source], profile)[0], Pool("cls+mean", 1)
    wanted = [pool.of(tensor) for tensor in decode([record.data], profile)]
    for parts in ([0, 1], [1], [1, 0]):
        check(decode_pooled([record.data], profile, pool, parts=parts), [wanted[part] for part in parts], atol=0.3)


@pytest.mark.parametrize("codec", ["raw", "uniform", "klt"])
def test_every_codec_and_every_item_is_pooled(codec: str) -> None:
    items = [feature(tokens, 31, tokens) for tokens in (3, 0, 1, 40)]
    profile = fit(codec, [feature(50, 31, 9)], None if codec == "raw" else Quality(snr_db=20))
    record = encode([items], profile)[0]
    for pool in POOLS:
        wanted = expected([record.data], profile, pool)
        check(decode_pooled([record.data], profile, pool), wanted)
        check(decode_pooled([record.data], profile, pool, items=[3, 0]), [wanted[3], wanted[0]])


def test_an_item_that_alone_is_left_of_a_block_is_pooled() -> None:
    items = [scale * text for scale, text in zip((0.1, 1.0, 3.0), texts(3, 1), strict=True)]
    profile = texts_at_20_db()
    record = keep(encode([items], profile)[0].data, profile, [2])
    gains = read_layers(sections(record, parse(record)), 70, [CHANNELS], Klt(profile).parameters).side.item_gains
    assert gains is not None and gains.any()
    check(decode_pooled([record], profile, Pool("mean", 1)), expected([record], profile, Pool("mean", 1)))


def test_damage_and_wrong_pools_are_told() -> None:
    profile = texts_at_20_db()
    record = bytearray(encode(texts(1, 1), profile)[0].data)
    record[len(record) // 2] ^= 4
    with pytest.raises(CorruptRecord):
        decode_pooled([bytes(record)], profile, Pool())
    with pytest.raises(UnsupportedInput, match="pool='max'"):
        Pool("max")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedInput, match="prefix=-1"):
        Pool("mean", -1)
    complex_one = encode([torch.ones(2, 3, dtype=torch.complex64)], fit("raw", []))[0]
    with pytest.raises(UnsupportedInput, match="complex64"):
        decode_pooled([complex_one.data], fit("raw", []), Pool())
