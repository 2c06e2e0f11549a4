"""A read compares each checksum once: when the bytes arrive, and not again when they are decoded."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import lamofc_store as lamofc
from lamofc_codecs.record import framing
from lamofc_store import Sample


def test_what_was_fetched_is_not_checked_again(
    tmp_path: Path, make_samples: Callable[..., list[Sample]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with lamofc.open(tmp_path / "s.lamofc", "a") as store:
        store.ingest(make_samples(8), codec="raw")
        computed: list[int] = []
        crc32c = framing.crc32c
        monkeypatch.setattr(framing, "crc32c", lambda data: (computed.append(len(data)), crc32c(data))[1])
        expected = store["s/0003", "hidden"]
        dataset = store.dataset(["hidden", "pooled"])
        assert torch.equal(dataset[3]["hidden"], expected)
        assert torch.equal(dataset.decode_batch(dataset.fetch_batch([3, 4]), ragged="list")["hidden"][0], expected)
        batch = next(iter(lamofc.FeatureLoader(store.dataset(["pooled"]), batch_size=8)))
    assert len(batch["pooled"]) == 8
    assert not computed
