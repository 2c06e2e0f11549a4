"""Batches decoded by array operations, as on a GPU: the values of the compiled loops, to the last bit."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from lamofc_codecs import CorruptRecord, Profile, Quality, decode, encode, fit
from lamofc_codecs.klt.codec import Klt
from lamofc_codecs.klt.gpu.batch import decode_together
from lamofc_codecs.record.framing import parse, sections
from lamofc_codecs.runtime import devices
from lamofc_codecs.source import DecodeRequest
from lamofc_codecs.testing.samples import feature, picture

GOLDENS = sorted(Path(__file__).parents[2].glob("goldens/klt-*"))
CPU = torch.device("cpu")


def prefixes(record: bytes) -> list[bytes]:
    """A record of each rate that is in one."""
    header = parse(record)
    return [record[:end] for end in accumulate(header.lengths, initial=header.size)][1:]


Together = Callable[..., list[torch.Tensor]]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def together(request: pytest.FixtureRequest) -> Together:
    """As the CPU's `decode`, but all records at once, on the device."""

    def decoded(records: Sequence[bytes], profile: Profile, parts: Sequence[int] | None = None) -> list[torch.Tensor]:
        with patch.object(devices, "ACCELERATORS", ("cpu", "cuda")):
            return [tensor.cpu() for tensor in decode(records, profile, parts=parts, device=request.param)]

    return decoded


def same(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether all bytes are."""
    alike = left.dtype == right.dtype and left.shape == right.shape
    return alike and bool((left.contiguous().view(torch.uint8) == right.contiguous().view(torch.uint8)).all())


@pytest.mark.parametrize("folder", GOLDENS, ids=[folder.name for folder in GOLDENS])
def test_every_golden_with_every_prefix_and_part_of_it(folder: Path, together: Together) -> None:
    profile = Profile.load(folder / "profile.safetensors")
    records = prefixes((folder / "record.bin").read_bytes())
    for parts in (None, *([part] for part in range(parse(records[0]).grid.parts))):
        expected = decode(records, profile, parts=parts)
        for left, right in zip(together(records, profile, parts), expected, strict=True):
            assert same(left, right)


def test_records_of_all_kinds_in_one_batch(together: Together) -> None:
    samples = [picture(12, 12, 40, seed, first=2) for seed in range(12)]
    profile = fit("klt", samples, Quality(snr_db=20), waves=True, layer_bytes=64, means=8)
    sources = [picture(rows, width, 40, 60 + rows, first=2) for rows, width in ((3, 5), (20, 9), (12, 12), (1, 1))]
    sources += [torch.zeros(0, 40), picture(6, 6, 40, 1, first=2).to(torch.float16)]
    records = []
    for quality in (Quality(snr_db=3), Quality(snr_db=28), Quality(bpfp=0.5), Quality(max_error=0.5)):
        for record in encode(sources, profile, quality=quality):
            records += prefixes(record.data)
    assert len(records) > 40
    for left, right in zip(together(records, profile), decode(records, profile), strict=True):
        assert same(left, right)


def test_numbers_that_do_not_fit_their_bytes() -> None:
    profile = fit("klt", [feature(120, 24, 1)], Quality(snr_db=20), layer_bytes=64)
    record = encode([feature(150, 24, 2)], profile)[0].data
    header = parse(record)
    layers = [bytes(layer) for layer in sections(record, header)]
    refused = 0
    for number, layer in enumerate(layers):
        for cut in (1, len(layer) // 2, len(layer) - 1):
            shorter = [memoryview(some) for some in (*layers[:number], layer[:cut], *layers[number + 1 :])]
            with pytest.raises(CorruptRecord):
                Klt(profile).decode(shorter, torch.empty(150, 24))
            with pytest.raises(CorruptRecord):
                decode_together([DecodeRequest(shorter, 150, [24], [torch.float32], [0])], Klt(profile).parameters, CPU)
            refused += 1
    assert refused == 3 * len(layers) > 6


def test_tensors_to_write_to() -> None:
    profile = fit("klt", [feature(120, 24, 1)], Quality(snr_db=20))
    records = [record.data for record in encode([feature(50, 24, 2), feature(7, 24, 3)], profile)]
    outs = [torch.empty(50, 24), torch.empty(7, 24, dtype=torch.bfloat16)]
    with patch.object(devices, "ACCELERATORS", ("cpu",)):
        assert decode(records, profile, out=outs)[0] is outs[0]
        assert decode(records, profile, device="cpu", dtype=torch.float16)[1].dtype == torch.float16
    for out, right in zip(outs, decode(records, profile), strict=True):
        assert same(out, right.to(out.dtype))
