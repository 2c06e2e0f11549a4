"""Small records of one codec decoded together: the tensors of each one alone."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from lamofc_codecs import CorruptRecord, Profile, Quality, decode, encode, fit
from lamofc_codecs.pipeline import together
from lamofc_codecs.testing.samples import feature, picture
from tests.codecs.klt.gpu.test_batch import GOLDENS, prefixes, same


def alone(records: list[bytes], profiles: list[Profile], parts: list[int] | None = None) -> list[torch.Tensor]:
    return [tensor for record in records for tensor in decode([record], profiles, parts=parts)]


@pytest.mark.parametrize("folder", GOLDENS, ids=[folder.name for folder in GOLDENS])
def test_prefixes_of_every_golden(folder: Path) -> None:
    profile = Profile.load(folder / "profile.safetensors")
    records = prefixes((folder / "record.bin").read_bytes()) * 3
    for parts in (None, [0]):
        for left, right in zip(decode(records, profile, parts=parts), alone(records, [profile], parts), strict=True):
            assert same(left, right)


def test_records_of_all_shapes_codecs_and_rates_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [picture(12, 12, 40, seed, first=2) for seed in range(12)]
    klt = fit("klt", samples, Quality(snr_db=20), waves=True, layer_bytes=64, means=8)
    uniform = fit("uniform", samples, Quality(snr_db=20))
    sources = [picture(rows, width, 40, 60 + rows, first=2) for rows, width in ((3, 5), (20, 9), (12, 12), (1, 1))]
    sources += [torch.zeros(0, 40), picture(6, 6, 40, 1, first=2).to(torch.float16), feature(30, 40, 5) * 1e6]
    records: list[bytes] = []
    for quality in (Quality(snr_db=3), Quality(snr_db=28), Quality(max_error=0.5), Quality(snr_db=110)):
        for record in encode(sources, klt, quality=quality):
            records += prefixes(record.data)
        records += [record.data for record in encode(sources[:2], uniform, quality=Quality(snr_db=15))]
    expected = alone(records, [klt, uniform])
    outs = [torch.empty_like(tensor) for tensor in expected]
    wide = [torch.empty(tensor.shape, dtype=torch.float64) for tensor in expected]
    for at_once in (1 << 19, 1 << 12):
        monkeypatch.setattr(together, "_BATCH", at_once)
        assert all(map(same, decode(records, [klt, uniform]), expected))
        decode(records, [klt, uniform], out=outs)
        decode(records, [klt, uniform], out=wide)
        assert all(map(same, outs, expected))
        assert all(map(same, wide, [tensor.double() for tensor in expected]))


@pytest.mark.parametrize("transform", ["none", "klt"])
def test_empty_tensors_alone(transform: str) -> None:
    profile = fit("klt", [feature(64, 32, seed) for seed in range(8)], Quality(snr_db=15), transform=transform)
    records = [record.data for record in encode([torch.zeros(0, 32)] * 3, profile)]
    assert [tensor.shape for tensor in decode(records, profile)] == [(0, 32)] * 3


def test_the_process_may_choose_other_dtypes() -> None:
    profile = fit("klt", [feature(64, 32, seed) for seed in range(8)], Quality(snr_db=15))
    sources = [feature(64, 32, seed) for seed in range(3)]
    records = [
        record.data for snr_db in (3, 15, 40) for record in encode(sources, profile, quality=Quality(snr_db=snr_db))
    ]
    expected = decode(records, profile)
    before = torch.get_default_dtype()
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            decoded = decode(records, profile)
        finally:
            torch.set_default_dtype(before)
        assert all(map(same, decoded, expected))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        decoded = decode(records, profile)
    assert all(map(same, decoded, expected))


def test_damage_among_others_is_an_error() -> None:
    profile = fit("klt", [feature(64, 32, seed) for seed in range(8)], Quality(snr_db=15))
    records = [record.data for record in encode([feature(20, 32, seed) for seed in range(5)], profile)]
    damaged = bytearray(records[2])
    damaged[-20] ^= 1
    with pytest.raises(CorruptRecord):
        decode([*records[:2], bytes(damaged), *records[3:]], profile)


@pytest.mark.parametrize("threads", [1, 2, 4, 16])
@pytest.mark.parametrize("count", [1, 5, 7, 8, 16, 32, 64, 200])
def test_batches_are_enough_for_the_threads_and_large_enough_to_be_shared(
    count: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts of 128 x 384, of which two or three are worth a thread."""
    shared: list[tuple[int, float]] = []

    def note(work: object, jobs: Sequence[Sequence[object]], elements: int, least: int) -> list[list[object]]:
        shared.append((len(jobs), elements / len(jobs) / least))
        return [[[] for _ in job] for job in jobs]

    profile = fit("klt", [feature(64, 32, seed) for seed in range(8)], Quality(snr_db=15))
    (record,) = encode([feature(128, 32, 1)], profile)
    monkeypatch.setattr(together, "each", note)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(together, "MIN_DECODED", (1 << 17) * 32 // 384)
    monkeypatch.setattr(together, "_BATCH", (1 << 19) * 32 // 384)
    decode([record.data] * count, profile)
    ((batches, share),) = shared
    assert batches >= 0.8 * min(threads, round(count * 3 / 8)) and (share >= 1 or batches == 1)
