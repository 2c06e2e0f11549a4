"""Redundancy as the papers define it, against SciPy and against theory; and the command that tells it."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

import lamofc_store
from lamofc_store import Sample
from lamofc_store.errors import SourceError
from lamofc_tools.analysis import (
    FeatureAnalysis,
    Texture,
    compare_values,
    cosine_transform,
    divergence,
    measure_redundancy,
    measure_texture,
)

Lamofc: TypeAlias = Callable[..., Any]


def by_scipy(plane: np.ndarray[Any, Any]) -> tuple[float, ...]:
    """The same by the formulas, straight."""
    scipy = pytest.importorskip("scipy")
    from scipy import fft, stats

    assert scipy is not None

    def rho(rows: np.ndarray[Any, Any]) -> float:
        valid = [row for row in rows if len(row) > 2 and np.ptp(row[:-1]) > 0 and np.ptp(row[1:]) > 0]
        return float(np.mean([stats.pearsonr(row[:-1], row[1:])[0] for row in valid])) if valid else math.nan

    energies = fft.dctn(plane, norm="ortho") ** 2
    rising, count = np.sort(energies.ravel()), energies.size
    gini = ((2 * np.arange(1, count + 1) - count - 1) * rising).sum() / (count * rising.sum())
    u, v = np.indices(energies.shape)
    radius = np.hypot(u, v) / np.hypot(*(side - 1 for side in energies.shape))
    return rho(plane), rho(plane.T), float(gini), float((radius * energies).sum() / energies.sum())


@pytest.mark.parametrize("shape", [(7, 5), (64, 96), (33, 128), (300, 20), (1, 40), (40, 1)])
def test_agrees_with_scipy(shape: tuple[int, int]) -> None:
    plane = np.random.default_rng(0).standard_normal(shape).cumsum(1).astype(np.float32).astype(np.float64)
    plane[0] += 5000.0
    if shape[0] > 3:
        plane[2] = 3.25  # a row without variance is left out
    found = measure_redundancy(torch.from_numpy(plane))
    wanted = by_scipy(plane)
    assert (found.rho_h, found.rho_v, found.gini, found.centroid) == pytest.approx(wanted, abs=1e-6, nan_ok=True)


def test_the_transform_is_scipys() -> None:
    scipy = pytest.importorskip("scipy.fft")
    for shape in ((6, 9), (128, 31), (1, 1)):
        plane = np.random.default_rng(1).standard_normal(shape)
        np.testing.assert_allclose(
            cosine_transform(torch.from_numpy(plane)).numpy(), scipy.dctn(plane, norm="ortho"), atol=1e-12
        )


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.95])
def test_planes_of_known_correlation(rho: float) -> None:
    draw = torch.Generator().manual_seed(0)
    rows = [torch.randn(400, generator=draw, dtype=torch.float64)]
    for _ in range(999):
        noise = torch.randn(400, generator=draw, dtype=torch.float64)
        rows.append(rho * rows[-1] + math.sqrt(1 - rho**2) * noise)
    found = measure_redundancy(torch.stack(rows))
    assert found.rho_v == pytest.approx(rho, abs=0.02) and found.rho_h == pytest.approx(0, abs=0.01)
    if rho == 0:
        # Energies of white noise are exponential in shape one half: Gini 2/pi; flatness e^-gamma / 2.
        assert found.gini == pytest.approx(2 / math.pi, abs=0.01)
        assert found.flatness == pytest.approx(math.exp(-np.euler_gamma) / 2, abs=0.01)
    else:
        assert found.gini > 2 / math.pi + rho / 20 and found.flatness < 0.28


def test_moments_over_planes_are_those_of_all_values() -> None:
    stats = pytest.importorskip("scipy.stats")
    draw = torch.Generator().manual_seed(0)
    planes = [torch.randn(50, 8, generator=draw).abs() + 900 for _ in range(5)]
    planes[1][3, 2] = 1e5
    gathered = FeatureAnalysis("f")
    for plane in planes:
        gathered.add(plane)
    found, values = gathered.report(), torch.cat(planes).double().numpy().ravel()
    assert (found.samples, found.elements) == (5, 2000)
    told = found.values
    assert (told["least"], told["most"]) == (values.min(), values.max())
    assert told["mean"] == pytest.approx(values.mean()) and told["deviation"] == pytest.approx(values.std())
    assert told["skewness"] == pytest.approx(stats.skew(values))
    assert told["kurtosis"] == pytest.approx(stats.kurtosis(values, fisher=False))
    assert told["outliers"] == 1 / 2000
    with pytest.raises(SourceError, match="not finite"):
        gathered.add(torch.tensor([[math.nan]]))


def test_a_transform_promises_what_theory_says() -> None:
    draw = torch.Generator().manual_seed(0)
    mixed = torch.randn(20_000, 4, generator=draw) @ torch.randn(4, 16, generator=draw)
    gathered = FeatureAnalysis("f", snr_db=20.0)
    gathered.add(mixed)
    told = gathered.report().values
    assert told["rank"] == 4
    along = torch.linalg.eigvalsh(torch.cov(mixed.T.double()))[-4:]
    error = float(mixed.var(0).sum()) / 100
    wanted = float((0.5 * (along / (error / 4)).log2()).sum()) / 16
    assert told["klt_bits"] == pytest.approx(wanted, rel=1e-3)
    assert told["plain_bits"] > 2 * told["klt_bits"]


def by_numpy(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> float:
    """The divergence of two histograms with half a count more in each bin."""
    span = (min(x.min(), y.min()), max(x.max(), y.max()))
    p, q = (np.histogram(values, 256, span)[0] + 0.5 for values in (x, y))
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def test_divergence_is_that_of_histograms() -> None:
    draw = np.random.default_rng(2)
    x, y = draw.standard_normal(5000), 0.8 * draw.standard_normal(5000)
    assert divergence(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(by_numpy(x, y), rel=1e-9)
    assert divergence(torch.from_numpy(x), torch.from_numpy(x)) == 0
    assert divergence(torch.ones(3), torch.ones(3)) == 0
    assert divergence(torch.zeros(1000), torch.ones(1000)) > 5
    other = compare_values({"s": torch.zeros(3)}, {"t": torch.zeros(3)})
    assert math.isnan(other.kl) and math.isnan(other.r2)


@pytest.mark.parametrize("shape", [(3, 3), (40, 17), (5, 1), (2, 9)])
def test_texture_is_scipys(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels, their variance and Sobel's gradients again by NumPy and SciPy; planes are taken in blocks of rows."""
    ndimage = pytest.importorskip("scipy.ndimage")
    monkeypatch.setattr("lamofc_tools.analysis.texture._BLOCK_ELEMENTS", 4 * shape[1])
    plane = np.random.default_rng(3).standard_normal(shape).cumsum(0)
    levels = np.rint((plane - plane.min()) * (1023 / (plane.max() - plane.min())))
    lengths = np.hypot(ndimage.sobel(levels, 0), ndimage.sobel(levels, 1))[1:-1, 1:-1]
    found = measure_texture(torch.from_numpy(plane))
    assert found.intensity_variance == pytest.approx(levels.var())
    assert found.gradient_magnitude == pytest.approx(lengths.mean() if lengths.size else math.nan, nan_ok=True)
    assert measure_texture(torch.full((4, 4), 2.5)) == Texture(0.0, 0.0)


def test_the_command_tells_a_source_and_a_store_alike(lamofc: Lamofc, tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    samples = [Sample(f"{n}", {"a": torch.randn(20, 8, generator=draw), "n": torch.arange(3)}) for n in range(6)]
    with lamofc_store.open(str(tmp_path / "store"), "w-") as store:
        store.ingest(samples, "raw")
        lamofc_store.export(store, tmp_path / "files")
    with lamofc_store.open(str(tmp_path / "lossy"), "w-") as lossy:
        lossy.ingest(samples, "klt", lamofc_store.Quality(snr_db=5))
    picture = tmp_path / "a.png"
    told = lamofc(
        "analyze", tmp_path / "files", "--json", "--samples", "6", "--against", tmp_path / "lossy", "--png", picture
    )
    again = lamofc("analyze", tmp_path / "store", "--json", "--samples", "6", "--run-in", tmp_path / "store")
    assert [row["feature"] for row in told.document["features"]] == ["a"]
    row = told.document["features"][0]
    with lamofc_store.open(str(tmp_path / "lossy")) as lossy:
        pairs = [(sample.features["a"], lossy[sample.id, "a"]) for sample in samples]
    x, y = (torch.cat(tensors).flatten().double().numpy() for tensors in zip(*pairs, strict=True))
    assert row.pop("r2") == pytest.approx(1 - np.square(x - y).sum() / (x.var() * x.size), rel=1e-6)
    assert row.pop("kl") == pytest.approx(by_numpy(x, y), rel=1e-6)
    assert 0.6 < 1 - np.square(x - y).sum() / (x.var() * x.size) < 0.75  # 5 dB of noise
    for name, value in row.items():
        assert again.document["features"][0][name] == pytest.approx(value)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert "rho v" in lamofc("analyze", tmp_path / "files").out
    rows = lamofc("sql", tmp_path / "store", "SELECT value FROM metrics WHERE name = 'gini'", "--format", "json")
    assert json.loads(rows.out)[0]["value"] == pytest.approx(told.document["features"][0]["gini"])
    out = lamofc("analyze", tmp_path / "files", "--samples", "6", "--against", tmp_path / "lossy").out
    assert out.splitlines()[0].split()[-2:] == ["kl", "r2"]


def test_samples_of_a_store_need_not_have_every_feature(lamofc: Lamofc, tmp_path: Path) -> None:
    with lamofc_store.open(str(tmp_path / "store"), "w-") as store:
        store.ingest({"x": {"a": torch.randn(8, 4)}, "y": {"a": torch.randn(8, 4), "b": torch.randn(6, 4)}}, "raw")
    found = lamofc("analyze", tmp_path / "store", "--json").document["features"]
    assert [(row["feature"], row["samples"]) for row in found] == [("a", 2), ("b", 1)]
    found = lamofc("analyze", tmp_path / "store", "--json", "--feature", "b").document["features"]
    assert [row["feature"] for row in found] == ["b"]
    wrong = lamofc("analyze", tmp_path / "store", "--feature", "layer.*")
    assert wrong.code != 0 and "has no feature that matches layer.*: it has a, b" in wrong.err
    with lamofc_store.open(str(tmp_path / "other"), "w-") as store:
        store.ingest({"x": {"a": torch.randn(8, 4)}, "y": {"c": torch.randn(8, 4)}}, "raw")
    against = (tmp_path / "store", "--against", tmp_path / "other", "--png", tmp_path / "a.png")
    assert lamofc("analyze", *against).code == 0
    assert "has no b" in lamofc("analyze", *against, "--feature", "b").err
    torch.save({"a": torch.randn(8, 4)}, tmp_path / "one.pt")
    assert lamofc("analyze", tmp_path / "one.pt", "--json").document["features"][0]["samples"] == 1
    nothing = lamofc("analyze", tmp_path / "nothing")
    assert nothing.code == 3 and "nothing" in nothing.err
