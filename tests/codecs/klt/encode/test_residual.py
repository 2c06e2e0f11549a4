"""Large sources, whose residuals are computed piece by piece, have the records of small ones."""

from typing import Any

import pytest
import torch

from lamofc_codecs import Quality, Rotary, decode, encode, fit
from lamofc_codecs.klt.encode import residual
from lamofc_codecs.stats import distortion
from lamofc_codecs.testing.samples import feature, picture

CASES: dict[str, dict[str, Any]] = {
    "typical tokens": {"means": 16},
    "error weights": {"weight": torch.linspace(0.2, 3, 40)},
    "weighed directions": {"weight": torch.diag(torch.linspace(0.2, 3, 40)) + 0.1},
    "rotary positions": {"rotary": Rotary((0.5, 0.1, 0.02), "halves", 2)},
    "exact entries": {"nonfinite": "exact"},
    "few columns": {"components": 5},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_pieces_do_not_change_a_record(case: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    train = [feature(600, 40, seed).to(dtype) for seed in range(6)]
    profile = fit("klt", train, Quality(snr_db=15), **CASES[case])
    source = feature(1500, 40, 9).to(dtype)
    source[700, 3] = 3e4
    if case == "exact entries":
        source[900, 5] = torch.nan
    qualities = (None, Quality(bpfp=1.5), Quality(snr_db=40))
    whole = [encode([source], profile, quality=quality) for quality in qualities]
    monkeypatch.setattr(residual, "_KEPT", 512 * 40)
    monkeypatch.setattr(distortion, "_PIECE", 100 * 40)
    assert [encode([source], profile, quality=quality) for quality in qualities] == whole


def test_pieces_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = fit("klt", [picture(24, 24, 40, seed, first=2) for seed in range(8)], Quality(snr_db=15), waves=True)
    source = picture(40, 30, 40, 12, first=2)
    whole = encode([source], profile)[0]
    monkeypatch.setattr(residual, "_KEPT", 256 * 40)
    assert encode([source], profile)[0] == whole
    assert decode([whole.data], profile)[0].shape == source.shape
