"""An encoder's transform by array operations, as on a GPU: the same columns, hence the same records, to the bit."""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
import torch

from lamofc_codecs import Profile, Quality, encode, fit
from lamofc_codecs.klt.format.profile import KltParameters
from lamofc_codecs.klt.gpu import forward
from lamofc_codecs.runtime import devices
from lamofc_codecs.testing.samples import feature

Encode = Callable[..., list[bytes]]
SAMPLES = [feature(200, 72, -seed) for seed in range(1, 9)]
WEIGHT = torch.randn(3, 72, generator=torch.Generator().manual_seed(2))
OPTIONS: dict[str, dict[str, object]] = {
    "plain": {"means": 0},
    "codebook": {"means": 40},
    "ranges": {"ranges": 3},
    "weighted": {"weight": WEIGHT},
    "few columns": {"components": 9},
}


@cache
def profile_of(options: str) -> Profile:
    """One fit for all qualities and devices."""
    return fit("klt", SAMPLES, Quality(snr_db=20), **OPTIONS[options])


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """A device on which the array operations are used; they must have been."""
    calls = []
    forward_on = forward.forward_on

    def counted(*given: object, **named: object) -> object:
        calls.append(given)
        return forward_on(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(devices, "ACCELERATORS", ("cpu", "cuda"))
    monkeypatch.setattr(forward, "forward_on", counted)
    yield torch.device(request.param)
    assert calls


@pytest.mark.parametrize("quality", [Quality(snr_db=8), Quality(snr_db=33), Quality(bpfp=1.5), Quality(max_error=0.05)])
@pytest.mark.parametrize("options", OPTIONS)
def test_records_are_the_same(quality: Quality, options: str, there: torch.device) -> None:
    profile = profile_of(options)
    sources = [feature(150, 72, 1), feature(1, 72, 2).half(), feature(0, 72, 3), 1e30 * feature(5, 72, 4)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "ACCELERATORS", ())
        expected = [record.data for record in encode(sources, profile, quality=quality)]
    assert [record.data for record in encode(sources, profile, quality=quality, device=there)] == expected


def test_groups_and_items_too(there: torch.device) -> None:
    halves = [{"a": one[:, :30], "b": one[:, 30:]} for one in SAMPLES]
    for profile, element in (
        (fit("klt", halves, Quality(snr_db=12)), {"a": feature(90, 30, 1), "b": feature(90, 42, 2)}),
        (fit("klt", SAMPLES, Quality(snr_db=12)), [feature(1, 72, seed) for seed in range(30)]),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(devices, "ACCELERATORS", ())
            expected = encode([element], profile)[0]
        assert encode([element], profile, device=there)[0].data == expected.data


@pytest.mark.parametrize("roughly", [False, True])
def test_columns_are_the_same_to_the_bit(roughly: bool, there: torch.device) -> None:
    parameters = KltParameters.from_profile(Profile.from_bytes(profile_of("plain").data))
    assert parameters.analysis is not None
    draw = np.random.default_rng(0)
    values = (draw.standard_normal((9000, 72)) * np.exp2(draw.integers(-60, 60, (9000, 1)))).astype(np.float32)
    values[17], values[18, 3] = 0, -0.0
    for columns in (parameters.columns, 20, 1, 0):
        expected = parameters.analysis.forward(values, columns, roughly=roughly)
        found = forward.forward_on(there, parameters.analysis, values, columns, roughly=roughly)
        assert np.array_equal(found.view(np.int32), expected.view(np.int32))
