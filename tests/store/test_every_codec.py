"""Records of every codec through a store: in, committed, read by a Dataset, by Zarr, and by another process."""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_codecs import CODECS, Profile, Sizes
from lamofc_codecs.testing.samples import drawn_weights, picture

SIZES = {"hyperprior": Sizes("hyperprior", 8, 12), "elic": Sizes("elic", 8, 12, (2, 4, 6))}
READ = """
import hashlib, sys
import lamofc_store as lamofc
for url in sys.argv[1:]:
    with lamofc.open(url) as store:
        for sample in store:
            print(hashlib.sha256(store[sample, "tokens"].numpy().tobytes()).hexdigest())
"""
TENSORS = {f"s{number}": picture(9, 9, 80, number) for number in range(6)}
SAMPLES = [lamofc.Sample(name, {"tokens": tensor}) for name, tensor in TENSORS.items()]
USABLE = [codec for codec in CODECS if codec not in ("vvc", "hevc") or find_spec("imageio_ffmpeg")]

Ingested = Callable[[str], tuple[lamofc.Store, lamofc.Report, dict[str, Any]]]


@cache
def weights(codec: str) -> Profile:
    return drawn_weights(SIZES[codec])


def options(codec: str, folder: Path) -> dict[str, Any]:
    if codec in SIZES:
        weights(codec).save(folder / f"{codec}.safetensors")
        return {"weights": str(folder / f"{codec}.safetensors"), "tile": 64}
    return {"preset": "faster"} if codec in ("vvc", "hevc") else {}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingested]:
    """A store by each codec with its report and the codec's options, made when a test first wants it."""
    folder = tmp_path_factory.mktemp("codecs")
    stores: dict[str, lamofc.Store] = {}

    @cache
    def make(codec: str) -> tuple[lamofc.Store, lamofc.Report, dict[str, Any]]:
        store = stores[codec] = lamofc.open(str(folder / codec), "a")
        codec_options = options(codec, folder)
        return store, store.ingest(SAMPLES, codec, codec_options=codec_options), codec_options

    yield make
    for store in stores.values():
        store.close()


@pytest.mark.parametrize("codec", CODECS)
def test_in_and_out(codec: str, ingested: Ingested) -> None:
    if codec not in USABLE:
        pytest.skip("imageio_ffmpeg is not installed")
    store, report, codec_options = ingested(codec)
    assert (report.records, report.warnings) == (6, [])
    assert store.ingest(SAMPLES, codec, codec_options=codec_options).already == 6
    assert store.sql("SELECT DISTINCT codec FROM records").fetchall() == [(codec,)]
    dataset = store.dataset(["tokens"])
    for number, name in enumerate(store):
        assert torch.equal(dataset[number]["tokens"], store[name, "tokens"])
        shown = torch.from_numpy(store.zarr["tokens"][number])
        assert torch.equal(shown[: len(TENSORS[name])], store[name, "tokens"])
    [(error,)] = store.sql("SELECT sum(sse) FROM records").fetchall()
    true = sum(float((store[name, "tokens"] - tensor).double().square().sum()) for name, tensor in TENSORS.items())
    assert error == pytest.approx(true, rel=1e-4, abs=1e-9)
    assert store.verify().ok


def test_another_process_reads_the_same(ingested: Ingested) -> None:
    stores = [ingested(codec)[0] for codec in USABLE]
    digests = [
        hashlib.sha256(store[name, "tokens"].numpy().tobytes()).hexdigest() for store in stores for name in store
    ]
    command = [sys.executable, "-c", READ, *(store.url for store in stores)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == digests
