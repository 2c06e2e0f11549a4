"""Records of every codec through a store: in, committed, read by a Dataset, by Zarr, and by another process."""

import hashlib
import subprocess
import sys
from functools import lru_cache
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
store = lamofc.open(sys.argv[1])
for sample in store:
    print(hashlib.sha256(store[sample, "tokens"].numpy().tobytes()).hexdigest())
"""


@lru_cache(maxsize=4)
def weights(codec: str) -> Profile:
    return drawn_weights(SIZES[codec])


def options(codec: str, folder: Path) -> dict[str, Any]:
    if codec in SIZES:
        weights(codec).save(folder / f"{codec}.safetensors")
        return {"weights": str(folder / f"{codec}.safetensors"), "tile": 64}
    return {"preset": "faster"} if codec in ("vvc", "hevc") else {}


@pytest.mark.parametrize("codec", CODECS)
def test_in_and_out(codec: str, tmp_path: Path) -> None:
    if codec in ("vvc", "hevc"):
        pytest.importorskip("imageio_ffmpeg")
    url = str(tmp_path / "store")
    sources = {f"s{number}": picture(9, 9, 80, number) for number in range(6)}
    with lamofc.open(url, "a") as store:
        samples = [lamofc.Sample(name, {"tokens": tensor}) for name, tensor in sources.items()]
        told = options(codec, tmp_path)
        report = store.ingest(samples, codec, codec_options=told)
        assert (report.records, report.warnings) == (6, [])
        assert store.ingest(samples, codec, codec_options=told).already == 6
        rows = store.sql("SELECT DISTINCT codec FROM records").fetchall()
        assert rows == [(codec,)]
        dataset = store.dataset(["tokens"])
        for number, name in enumerate(store):
            assert torch.equal(dataset[number]["tokens"], store[name, "tokens"])
            shown = torch.from_numpy(store.zarr["tokens"][number])
            assert torch.equal(shown[: len(sources[name])], store[name, "tokens"])
        [(error,)] = store.sql("SELECT sum(sse) FROM records").fetchall()
        true = sum(float((store[name, "tokens"] - tensor).double().square().sum()) for name, tensor in sources.items())
        assert error == pytest.approx(true, rel=1e-4, abs=1e-9)
        assert store.verify().ok
        digests = [hashlib.sha256(store[name, "tokens"].numpy().tobytes()).hexdigest() for name in store]
    command = [sys.executable, "-c", READ, url]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == digests
