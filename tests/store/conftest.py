"""Samples made on the fly, stores in all the places that a store can lie in, and a real S3 server."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.storage.ulid import new_ulid


def _sample(number: int) -> Sample:
    """Every awkward shape and dtype at once, different from sample to sample, the same from call to call."""
    noise = torch.Generator().manual_seed(number)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=noise)

    features = {
        "hidden": normal(1, 3 + number % 5, 24),
        "cache": normal(1, 2, 4, 6).bfloat16(),
        "pooled": normal(16).half(),
        "none": normal(0, 8),
        "one": normal(1, 8) * 1e4,
        "ids": torch.arange(number % 4 + 1) * 1000,
    }
    return Sample(f"s/{number:04d}", features, {"label": number % 3, "split": "test" if number % 4 == 0 else "train"})


@pytest.fixture(scope="session")
def make_samples() -> Callable[..., list[Sample]]:
    """Samples number `first` to `last`, like those of any other call."""

    def make(last: int, first: int = 0) -> list[Sample]:
        return [_sample(number) for number in range(first, last)]

    return make


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, object]]:
    """A URL where no store is yet, and the options to open it with."""
    return _place(request, tmp_path)


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def quick_place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, object]]:
    """The same for many tests of one concern, which go through S3 where there is time."""
    return _place(request, tmp_path)


def _place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, object]]:
    if request.param == "local":
        return str(tmp_path / "store"), {}
    if request.param == "memory":
        return f"memory://{new_ulid()}", {}
    return f"s3://lamofc/{new_ulid()}", request.getfixturevalue("s3")


@pytest.fixture
def store(tmp_path: Path, make_samples: Callable[..., list[Sample]]) -> Iterator[lamofc.Store]:
    """Twelve samples in a local store, lossless."""
    with lamofc.open(str(tmp_path / "twelve"), "w-") as opened:
        opened.ingest(make_samples(12), codec="raw")
        yield opened
