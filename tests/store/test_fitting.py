"""Which samples a profile is fitted on, and what it aims at."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lamofc_store as lamofc
from lamofc_codecs import Quality, fit
from lamofc_store import fitting
from lamofc_store.options import IngestOptions


def test_a_profile_is_fitted_on_what_lies_all_over_the_source(tmp_path: Path) -> None:
    """A folder sorted by kind: the profile knows both kinds, though the first hundred samples are of one."""
    folder = tmp_path / "sorted"
    folder.mkdir()
    for number in range(200):
        hidden = torch.randn(8, 4, generator=torch.Generator().manual_seed(number)) + 100 * (number >= 100)
        np.save(folder / f"{number:03}.npy", hidden.numpy())
    profile = next(iter(lamofc.fit_profiles(folder, "uniform").values()))
    assert (profile.tensors["bulk_mean"] - 50).abs().max() < 5


@pytest.mark.parametrize(
    ("tokens", "given", "looked_at"), [(1, None, 200), (300, None, 110), (4000, None, 64), (4000, 7, 7)]
)
def test_a_fit_looks_at_as_many_samples_as_it_needs(tokens: int, given: int | None, looked_at: int) -> None:
    samples = [lamofc.Sample(f"s{number}", {"x": torch.zeros(tokens, 2)}) for number in range(200)]
    options = IngestOptions(codec="uniform", fit_samples=given)
    assert len(fitting.gather(samples, options, lambda item: False)) == looked_at


def test_a_given_profile_brings_its_own_quality(tmp_path: Path) -> None:
    tensors = [torch.randn(50, 8, generator=torch.Generator().manual_seed(number)) for number in range(4)]
    profile = fit("klt", tensors, Quality(snr_db=7))
    samples = [lamofc.Sample(f"s{number}", {"x": tensor}) for number, tensor in enumerate(tensors)]
    for name, wish, qualities in (("own", None, "snr_db=7"), ("asked", Quality(snr_db=3), "snr_db=3")):
        with lamofc.create(str(tmp_path / name)) as store:
            store.ingest(samples, quality=wish, profile=profile)
            found = store.sql("SELECT DISTINCT quality FROM records").fetchall()
            assert found == [(qualities,)]
            noise = (store["s0"]["x"] - tensors[0]).square().sum() / (tensors[0] - tensors[0].mean(0)).square().sum()
            assert -10 * torch.log10(noise) == pytest.approx(float(qualities[7:]), abs=0.5)
