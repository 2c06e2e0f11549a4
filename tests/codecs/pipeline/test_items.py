"""Items of one record: each as good as asked for, with figures of its own, and each to be had without the others."""

from itertools import accumulate, pairwise

import numpy as np
import pytest
import torch

from lamofc_codecs import Profile, Quality, Record, UnsupportedInput, decode, encode, fit, inspect, keep, testing

CHANNELS = 96
MIXING = torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(1))
MIXING *= torch.exp(-torch.arange(CHANNELS) / 20)[:, None]


def vectors(count: int, seed: int) -> torch.Tensor:
    """Embeddings, one loud one and one silent one among them."""
    found = torch.randn(count, CHANNELS, generator=torch.Generator().manual_seed(seed)) @ MIXING
    return found * (0.3 + torch.rand(count, 1, generator=torch.Generator().manual_seed(-seed)))


PROFILE = fit("klt", list(vectors(4000, 1)[:, None]), Quality(snr_db=10))
BLOCK = list(vectors(64, 2)[:, None])


def decibels(record: Record) -> np.ndarray:
    return np.array([10 * np.log10(item.signal / item.bulk_sse) for item in record.items])


@pytest.mark.parametrize("snr_db", [3.0, 10.0, 20.0, 35.0])
def test_each_item_is_as_good_as_asked_for(snr_db: float) -> None:
    record = encode([BLOCK], PROFILE, quality=Quality(snr_db=snr_db))[0]
    assert record.codec == "klt"
    found = decibels(record)
    # A vector of which a few numbers are coded comes in jumps, but never short of what was asked for.
    assert (found > snr_db - 0.15).all()
    assert np.median(found) < snr_db + 0.4
    assert found.max() < snr_db + 2.2


def test_each_item_has_the_squared_error_asked_for() -> None:
    record = encode([BLOCK], PROFILE, quality=Quality(mse=0.5))[0]
    each = np.array([item.sse / item.elements for item in record.items])
    found = -10 * np.log10(each / 0.5)
    assert found.min() > -0.15
    assert np.median(found) < 0.4
    wide = encode([torch.split(vectors(2000, 5), 500)], PROFILE, quality=Quality(mse=0.5))[0]
    assert [item.sse / item.elements for item in wide.items] == pytest.approx([0.5] * 4, rel=0.035)


def test_no_entry_of_an_item_is_off_by_more_than_asked_for() -> None:
    record = encode([BLOCK], PROFILE, quality=Quality(max_error=0.4))[0]
    assert record.codec == "klt"
    for item, source, decoded in zip(record.items, BLOCK, decode([record.data], PROFILE), strict=True):
        assert float((source - decoded).abs().max()) == pytest.approx(item.max_error, rel=1e-6)
        assert item.max_error <= 0.4


def test_a_block_is_far_smaller_than_its_items_apart() -> None:
    together = len(encode([BLOCK], PROFILE)[0].data)
    apart = sum(len(record.data) for record in encode(BLOCK, PROFILE))
    assert together < 0.5 * apart


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("lengths", [(1, 1), (0, 5, 1, 30), (40,) * 3])
def test_each_item_has_its_own_figures(lengths: tuple[int, ...], dtype: torch.dtype) -> None:
    items = [testing.feature(tokens, 24, seed).to(dtype) for seed, tokens in enumerate(lengths)]
    profile = fit("klt", [testing.feature(300, 24, -1)], Quality(snr_db=15))
    middle = profile.tensors["bulk_mean"].double()
    for codec in (profile, fit("raw", [])):
        record = encode([items], codec)[0]
        assert [item.elements for item in record.items] == [item.numel() for item in items]
        for item, decoded, told in zip(items, decode([record.data], codec), record.items, strict=True):
            values = item.double()
            away = values - decoded.double()
            assert told.sum == pytest.approx(float(values.sum()), rel=1e-6, abs=1e-6)
            assert told.sum_sq == pytest.approx(float(values.square().sum()), rel=1e-6)
            assert told.sse == pytest.approx(float(away.square().sum()), rel=1e-6)
            assert told.max_error == pytest.approx(float(away.abs().max() if away.numel() else 0), rel=1e-6)
            assert told.layers[-1] == told.sse
            if codec is profile:
                bulk = (item >= profile.tensors["bulk_low"]) & (item <= profile.tensors["bulk_high"])
                assert told.signal == pytest.approx(float(((values - middle) * bulk).square().sum()), rel=1e-5)
        for name in ("sum", "sum_sq", "sse", "bulk_sse"):
            whole = sum(getattr(item, name) for item in record.items)
            assert whole == pytest.approx(getattr(record, name), rel=1e-6, abs=1e-6), name


def check_kept(record: Record, profile: Profile) -> None:
    """Some items, in records of their own, are what they were; nothing of the others is there."""
    whole, count = decode([record.data], profile), len(inspect(record.data).tokens)
    for chosen in ([0], [count - 1], list(range(1, count)), list(range(0, count, 2)), list(range(count))):
        kept = keep(record.data, profile, chosen)
        found = decode([kept], profile)
        assert len(found) == len(chosen)
        assert all(torch.equal(tensor, whole[item]) for tensor, item in zip(found, chosen, strict=True))
        assert inspect(kept).number == inspect(record.data).number
        assert len(kept) <= len(record.data) + 8
        before, after = inspect(record.data), inspect(kept)
        assert after.layers == before.layers
        for number in range(1, after.layers):  # a lower rate is the same lower rate
            lower = [decode([data[: sum(header.layer_bytes()[:number])]], profile) for data, header in
                     ((record.data, before), (kept, after))]  # fmt: skip
            assert all(torch.equal(lower[1][at], lower[0][item]) for at, item in enumerate(chosen))


@pytest.mark.parametrize("quality", [Quality(snr_db=10), Quality(snr_db=25), Quality(bpfp=1.5), Quality(max_error=0.1)])
def test_items_are_taken_out_of_a_record(quality: Quality) -> None:
    record = encode([BLOCK], PROFILE, quality=quality)[0]
    check_kept(record, PROFILE)
    alone = keep(record.data, PROFILE, [5])
    single = encode([BLOCK[5]], PROFILE, quality=quality)[0]
    assert len(alone) < (2 if quality.kind == "bpfp" else 1.2) * len(single.data) + 40


def test_items_of_several_tokens_with_means_and_exact_values() -> None:
    profile = fit("klt", [testing.feature(300, 24, -1)], means=30, layer_bytes=32)
    items = [testing.feature(tokens, 24, seed) for seed, tokens in enumerate((7, 0, 90, 1))]
    items[2][5, 6], items[0][1, 2] = 9000.0, -7000.0
    for quality in (Quality(snr_db=22), Quality(step=2.0**-9)):
        record = encode([items], profile, quality=quality)[0]
        assert record.codec == "klt"
        check_kept(record, profile)


def test_items_of_a_raw_record_are_taken_out() -> None:
    noise = [torch.rand(1, 40, generator=torch.Generator().manual_seed(seed)).double() for seed in range(9)]
    check_kept(encode([noise], fit("raw", []))[0], fit("raw", []))


def test_no_part_of_a_field_is_common_to_items() -> None:
    pictures = [testing.picture(9, 9, 24, seed) for seed in range(9)]
    profile = fit("klt", pictures, Quality(snr_db=15), waves=True)
    record = encode([pictures[:3]], profile)[0]
    assert record.codec == "klt"
    assert np.abs(decibels(record) - 15).max() < 0.2
    check_kept(record, profile)


@pytest.mark.parametrize("chosen", [[], [1, 1], [2, 1], [-1], [64]])
def test_items_that_are_not_there_are_refused(chosen: list[int]) -> None:
    record = encode([BLOCK], PROFILE)[0]
    with pytest.raises(UnsupportedInput, match="items"):
        keep(record.data, PROFILE, chosen)


def test_prefixes_groups_and_other_codecs_are_refused() -> None:
    record = encode([BLOCK], PROFILE, quality=Quality(snr_db=30))[0]
    header = inspect(record.data)
    assert header.layers > 1
    with pytest.raises(UnsupportedInput):
        keep(record.data[: header.layer_bytes()[0]], PROFILE, [1])
    uniform = fit("uniform", BLOCK, Quality(snr_db=10))
    with pytest.raises(UnsupportedInput, match="uniform"):
        keep(encode([BLOCK], uniform)[0].data, uniform, [1])
    pairs = [{"a": one, "b": one} for one in BLOCK]
    group = fit("klt", pairs, Quality(snr_db=10))
    with pytest.raises(UnsupportedInput, match="parts"):
        keep(encode(pairs, group)[0].data, group, [0])


def test_a_block_does_not_depend_on_what_else_is_coded() -> None:
    blocks = [list(part[:, None]) for part in torch.split(vectors(200, 3), 50)]
    once = [record.data for record in encode(blocks, PROFILE)]
    assert once == [encode([block], PROFILE)[0].data for block in blocks]
    ends = [*accumulate(map(len, blocks), initial=0)]
    flat = decode(once, PROFILE)
    for (first, last), data in zip(pairwise(ends), once, strict=True):
        assert all(map(torch.equal, flat[first:last], decode([data], PROFILE)))
