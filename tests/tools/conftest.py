"""A folder of features, a small store made from it by the command line, and a way to type commands."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from lamofc_tools.cli import main

CHANNELS = 24
SAMPLES = 6


@dataclass(frozen=True)
class Ran:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[str]:
        return self.err.splitlines()


Lamofc = Callable[..., Ran]


@pytest.fixture
def lamofc(capsys: pytest.CaptureFixture[str]) -> Lamofc:
    """Types `lamofc ARGUMENTS` in this process."""

    def typed(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return typed


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Runs torch on one thread: small tensors gain nothing from more, and on a busy machine threads wait in a spin."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _features_of(number: int) -> dict[str, torch.Tensor]:
    noise = torch.Generator().manual_seed(number)
    spread = torch.logspace(0.5, -1, CHANNELS)
    return {
        "layer.1": torch.randn(5 + number % 3, CHANNELS, generator=noise) * spread,
        "layer.2": (torch.randn(1, 7, CHANNELS, generator=noise) * spread).bfloat16(),
    }


@pytest.fixture(scope="session")
def features_of() -> Callable[[int], dict[str, torch.Tensor]]:
    """The tensors of a sample by its number."""
    return _features_of


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six files of two features."""
    folder = tmp_path_factory.mktemp("source")
    for number in range(SAMPLES):
        save_file(_features_of(number), folder / f"img_{number}.safetensors")
    return folder


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A label for each sample."""
    path = tmp_path_factory.mktemp("table") / "labels.parquet"
    ids = [f"img_{number}" for number in range(SAMPLES)]
    pq.write_table(pa.table({"sample": ids, "label": [number % 2 for number in range(SAMPLES)]}), path)
    return path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """A store that nobody may change."""
    place = tmp_path_factory.mktemp("made") / "made.lamofc"
    assert main(["ingest", str(source), str(place), "--no-progress"]) == 0
    return place


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A store of one's own."""
    return Path(shutil.copytree(made, tmp_path / "store.lamofc"))
