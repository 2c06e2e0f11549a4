"""The bulk: bounds from the samples, sums that others can check."""

import numpy as np
import pytest
import torch

from lamofc_codecs import CodecError, NonFiniteInput
from lamofc_codecs.stats.bulk import Bulk
from lamofc_codecs.stats.channel_statistics import ChannelStatistics, collect_statistics
from lamofc_codecs.stats.distortion import compute_sums, measure_distortion
from lamofc_codecs.testing.samples import feature


def test_bounds_are_32_median_deviations_about_the_median() -> None:
    x = feature(501, 20, 1)
    bulk, sigma = collect_statistics([x[:200], x[200:]]).finish()
    values = x.numpy()
    median = np.median(values, axis=0)
    mad = np.median(np.abs(values - median), axis=0)
    assert np.allclose(bulk.low, median - 32 * mad, rtol=1e-5)
    assert np.allclose(bulk.high, median + 32 * mad, rtol=1e-5)
    assert values[250, 6] == 900
    assert bulk.high[6] < 900
    inside = np.ma.masked_outside(values, -800, 800)
    assert np.allclose(bulk.mean, inside.mean(0), atol=1e-5)
    assert np.allclose(sigma, inside.std(0), rtol=1e-4)


def test_a_sparse_channel_a_constant_channel_and_a_constant_feature_have_bounds() -> None:
    x = torch.randn(400, 3, generator=torch.Generator().manual_seed(1))
    x[:, 0] *= torch.arange(400) % 5 == 0
    x[:, 1] = 7
    bulk, sigma = collect_statistics([x]).finish()
    assert bulk.low[0] < x[:, 0].min() and bulk.high[0] > x[:, 0].max()
    assert bulk.low[1] < 7 < bulk.high[1] < 100
    assert sigma[1] == 0 and bulk.mean[1] == 7
    flat, _ = collect_statistics([torch.full((9, 2), 3.0)]).finish()
    assert (flat.low < -1e38).all() and (flat.high > 1e38).all()


def test_survey_agrees_with_numpy_and_leaves_out_what_is_not_finite() -> None:
    x = feature(301, 17, 2).numpy()
    x[5, 3], x[6, 4], x[7, 5] = np.nan, np.inf, -np.inf
    bulk, _ = collect_statistics([feature(200, 17, 3)]).finish()
    finite = np.isfinite(x)
    wide = np.where(finite, x, 0).astype(np.float64)
    inside = finite & (x >= bulk.low) & (x <= bulk.high)
    sums = compute_sums(x, bulk)
    assert sums.bad == 3 and sums.bulk == inside.sum() < finite.sum()
    assert sums.sum == pytest.approx(wide.sum())
    assert sums.sum_sq == pytest.approx((wide**2).sum())
    assert sums.signal == pytest.approx(((wide - bulk.mean) ** 2)[inside].sum())
    own = compute_sums(x, None)
    mean = wide.sum(0) / finite.sum(0)
    assert own.signal == pytest.approx(((wide - mean) ** 2)[finite].sum())


def test_a_mean_that_dwarfs_the_deviation_does_not_drown_it() -> None:
    x = (1e5 + np.random.default_rng(1).standard_normal((2000, 3))).astype(np.float32)
    assert compute_sums(x, None).signal == pytest.approx(x.astype(np.float64).var(0).sum() * 2000, rel=1e-6)


def test_distortion_agrees_with_numpy() -> None:
    x = feature(300, 17, 4).numpy()
    y = x + np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)
    bulk, _ = collect_statistics([feature(200, 17, 3)]).finish()
    error = x.astype(np.float64) - y
    inside = (x >= bulk.low) & (x <= bulk.high)
    found = measure_distortion(x, y, bulk)
    assert found.sse == pytest.approx((error**2).sum())
    assert found.bulk_sse == pytest.approx((error**2)[inside].sum())
    assert found.bulk_sse < found.sse
    assert found.max_error == pytest.approx(np.abs(error).max())


def test_empty_tensors_have_no_energy() -> None:
    empty = np.empty((0, 4), np.float32)
    assert compute_sums(empty, None).signal == compute_sums(empty, Bulk(*[np.zeros(4, np.float32)] * 3)).signal == 0
    assert measure_distortion(empty, empty, None).max_error == 0


def test_tokens_are_kept_evenly_and_in_bounded_memory() -> None:
    few = ChannelStatistics(elements=4000)
    for number in range(300):
        few.add(torch.full((128, 4), float(number)) + torch.arange(128.0)[:, None] / 1000)
    kept = few.values()
    assert 250 < len(kept) <= 1000
    assert few.tokens == 300 * 128
    # Neither the early samples nor one place within each sample may be preferred.
    assert abs(np.floor(kept[:, 0]).mean() - 149.5) < 15
    assert abs((kept[:, 0] % 1).mean() * 1000 - 63.5) < 7


def test_some_of_many_tokens_tell_all_but_the_means(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [feature(100, 17, seed) for seed in range(20)]
    every, sigma = collect_statistics(samples).finish()
    monkeypatch.setattr("lamofc_codecs.stats.channel_statistics._MAX_ELEMENTS", 500 * 17)
    collected = collect_statistics(samples, elements=1 << 24)
    some, near = collected.finish()
    assert len(collected.values()) == 2000
    assert not np.array_equal(some.low, every.low)
    assert some.low == pytest.approx(every.low, rel=0.3)
    assert some.mean == pytest.approx(every.mean, rel=1e-5)
    assert near == pytest.approx(sigma, rel=0.2)
    again, _ = collect_statistics([torch.cat(samples)], elements=1 << 24).finish()
    assert np.array_equal(again.low, some.low)


def test_samples_that_cannot_be_fitted_are_refused() -> None:
    with pytest.raises(CodecError, match="7 after 4"):
        collect_statistics([torch.ones(2, 4), torch.ones(2, 7)])
    with pytest.raises(CodecError, match=r"torch\.int64"):
        collect_statistics([torch.ones(2, 4, dtype=torch.int64)])
    with pytest.raises(CodecError, match="0 tokens"):
        collect_statistics([torch.ones(0, 4)]).finish()
    broken = torch.ones(3, 4)
    broken[1, 1] = float("nan")
    with pytest.raises(NonFiniteInput, match="1 non-finite"):
        collect_statistics([broken])
    assert len(collect_statistics([broken], skip_nonfinite=True).values()) == 2
