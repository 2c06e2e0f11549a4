"""Fits of many channels: cheaper ways to nearly the same directions and profiles."""

from collections.abc import Callable

import pytest
import torch

from lamofc_codecs import Quality, encode, fit
from lamofc_codecs.klt.fit import pca
from lamofc_codecs.klt.fit.pca import ProjectedTokens
from lamofc_codecs.klt.transform import fit_codebook, nearest_of

CHANNELS = 96


def tokens(count: int, seed: int = 0) -> torch.Tensor:
    """Tokens about a few places, of falling variance in rotated directions."""
    noise = torch.Generator().manual_seed(seed)
    mixing = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(9))).Q
    places = 3 * torch.randn(6, CHANNELS, generator=torch.Generator().manual_seed(8))
    values = torch.randn(count, CHANNELS, generator=noise) + places[torch.randint(6, (count,), generator=noise)]
    return (values * 0.93 ** torch.arange(CHANNELS)) @ mixing


def remaining(values: torch.Tensor, rows: torch.Tensor) -> float:
    """Share of the energy that directions leave."""
    return 1 - float((values @ rows.T).square().sum() / values.square().sum())


def test_products_in_blocks_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    values = tokens(50)
    monkeypatch.setattr(pca, "MANY_CHANNELS", 8)
    monkeypatch.setattr(pca, "_BLOCK", 20)
    found = pca.products_of(values)
    assert torch.equal(found, found.T)
    assert torch.allclose(found, values.T @ values, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("wanted", "found"), [(5, [10]), (14, [10, 20]), (30, [10, 20, CHANNELS]), (90, [10, 20, CHANNELS])]
)
def test_as_many_directions_are_found_as_are_wanted(
    wanted: int, found: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    values, asked = tokens(600), []
    monkeypatch.setattr(pca, "_FIRST_COUNT", 10)
    monkeypatch.setattr(pca, "_OVERSAMPLING", 6)

    def enough(variances: torch.Tensor, energy: float) -> int:
        assert energy == pytest.approx(float(values.square().sum(1).mean()), rel=1e-5)
        asked.append(len(variances))
        return wanted

    rows = pca.leading(values, enough)
    best = pca.principal(values)[:wanted]
    assert asked == found
    assert torch.allclose(rows @ rows.T, torch.eye(wanted), atol=1e-4)
    assert remaining(values, rows) < remaining(values, best) + 0.01


def test_directions_that_single_precision_confuses_are_found_in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of directions are right, too, whose variances lie 13 orders of magnitude apart."""
    monkeypatch.setattr(pca, "MANY_CHANNELS", 8)
    turned = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(3)))[0].double()
    for orders, exactly in ((3, False), (13, True)):
        covariance = (turned * torch.logspace(0, -orders, CHANNELS, dtype=torch.float64)) @ turned.T
        monkeypatch.setattr(pca, "_shrunk", lambda products, tokens, covariance=covariance: covariance)
        rows = pca.principal_of_products(covariance, 1)
        likeness = (rows.double() @ turned).diagonal().abs()
        assert likeness.min() > 0.999 and (pca._in_single_precision(covariance)[1] < CHANNELS) == exactly


@pytest.mark.parametrize("size", [0, 12])
def test_products_tell_what_remains_about_typical_tokens(size: int) -> None:
    train, more = tokens(300), tokens(100, 1)
    together = torch.cat([train, more])
    means = fit_codebook(together, size) if size else None
    residual = together if means is None else together - means[nearest_of(together, means)]
    for fitted in (ProjectedTokens(train, None, pca.products_of(train)), ProjectedTokens(train, None, None)):
        rows = fitted.with_more(more).principal_about(means)
        likeness = (rows @ pca.principal(residual).T).abs()
        assert torch.allclose(likeness, torch.eye(CHANNELS), atol=0.02)


def all_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pca", "codebook_size", "build_profile"):
        monkeypatch.setattr(f"lamofc_codecs.klt.fit.{module}.MANY_CHANNELS", 16)


def few_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamofc_codecs.klt.fit.codebook_size._MAX_HELD_OUT_VALUES", 64 * CHANNELS)


@pytest.mark.parametrize("change", [all_many, few_held_out])
@pytest.mark.parametrize("size", [0, 8])
def test_records_are_about_as_small(
    size: int, change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, new = [tokens(60, seed) for seed in range(20)], [tokens(60, seed) for seed in range(30, 34)]
    options = {"means": size, "waves": False}
    plain = fit("klt", samples, Quality(snr_db=15), **options)
    change(monkeypatch)
    changed = fit("klt", samples, Quality(snr_db=15), **options)
    assert changed.id != plain.id
    sizes = [sum(len(record.data) for record in encode(new, profile)) for profile in (plain, changed)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)
