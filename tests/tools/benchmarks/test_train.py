"""Benchmarks of training: every reader gives every sample, and the bucket lets through what it says."""

import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lamofc_tools.benchmarks.learning import heads
from lamofc_tools.benchmarks.learning.loader_peers import PEERS, Peer
from lamofc_tools.benchmarks.learning.throttle import Bucket, ThrottledFileSystem, register
from lamofc_tools.benchmarks.learning.train import PLACES, Job, linear_job, rows_of


def _job() -> Job:
    noise = torch.Generator().manual_seed(0)
    drawn = torch.randn(40, 6, 16, generator=noise).half()
    return linear_job("small", drawn[:20], torch.arange(20) % 4, drawn[20:])


def test_every_reader_trains_on_every_sample_and_the_bytes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register()
    monkeypatch.setitem(PLACES, "slow", (2e6, 0.0))
    monkeypatch.setattr("lamofc_tools.benchmarks.learning.train.PEERS", PEERS[:2])
    found = {(row["place"], row["reader"]): row for row in rows_of(_job(), tmp_path, ("page cache", "slow"), 1)}
    stores = {f"store, klt {name}" for name in ("20 dB", "20 dB at 10", "20 dB at 5", "10 dB", "10 dB at 5")}
    stores |= {"store, raw"}
    readers = {"memory", "npy memmap", "safetensors"} | stores | {f"{name}, pooled" for name in stores}
    assert set(found) == {(place, reader) for place in ("page cache", "slow") for reader in readers}
    raw = 20 * 6 * 16 * 2
    assert found["slow", "npy memmap"]["bytes"] == found["slow", "safetensors"]["bytes"] == raw
    assert 0 < found["slow", "store, klt 20 dB"]["bytes"] < 2 * raw
    assert found["slow", "npy memmap"]["seconds"] >= raw / 2e6


@pytest.mark.parametrize("kind", PEERS, ids=lambda kind: kind.name)
def test_peers_give_back_what_they_were_given(kind: type[Peer], tmp_path: Path) -> None:
    if not kind.available():
        assert kind.needs is not None and importlib.util.find_spec(kind.needs) is None
        pytest.skip(f"{kind.needs} is not installed")
    features = np.random.default_rng(0).standard_normal((23, 2, 3, 4)).astype(np.float16)
    peer = kind(tmp_path / "there", Bucket())
    peer.write(features, np.arange(23))
    seen = []
    for batch, numbers in peer.epoch(5, 1):
        assert torch.equal(batch, torch.from_numpy(features[numbers.numpy()]))
        seen += numbers.tolist()
    assert sorted(seen) == list(range(23))
    assert peer.bucket.bytes >= features.nbytes


def test_a_bucket_takes_as_long_as_it_says() -> None:
    bucket = Bucket(1e6, 0.02)
    started = time.monotonic()
    for _ in range(3):
        bucket.take(50_000)
    assert 0.15 <= time.monotonic() - started < 1
    assert (bucket.bytes, bucket.requests) == (150_000, 3)


def test_a_throttled_file_system_reads_ranges_of_local_files(tmp_path: Path) -> None:
    import fsspec

    register()
    (tmp_path / "x").write_bytes(bytes(range(100)))
    ThrottledFileSystem.bucket = Bucket()
    found, path = fsspec.core.url_to_fs(f"throttled://{tmp_path}/x")
    assert found.cat_ranges([path, path], [3, 50], [5, 60]) == [bytes([3, 4]), bytes(range(50, 60))]
    assert (ThrottledFileSystem.bucket.bytes, ThrottledFileSystem.bucket.requests) == (12, 2)


@pytest.mark.slow
def test_bench_heads_judges_every_sample_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 4
    features = torch.randn(60, 10, 16, generator=noise) + torch.randn(4, 1, 16, generator=noise)[labels]
    save_file({"x": features.half(), "label": labels}, tmp_path / "x.safetensors")
    asked = ["--rates", "0.5,3", "--other-rates", "1", str(tmp_path / "x.safetensors")]
    assert heads.BENCHMARK.main(asked) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["fit"] for row in told["known"]] == ["original", *["plain"] * 2, *["for the head"] * 2]
    assert [row["fit"] for row in told["unknown"]] == ["original", "plain", "for the other head", "for both"]
    assert all(0 <= row["accuracy"] <= 1 and row["accuracy"] * 60 % 1 < 1e-9 for row in told["known"])
    assert told["known"][0]["accuracy"] > 0.9
