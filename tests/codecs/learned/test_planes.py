"""Planes of the learned codecs: each coded as if it were alone, and told apart in the record."""

from functools import lru_cache

import pytest
import torch

from lamofc_codecs import CorruptRecord, Profile, Quality, Sizes, UnsupportedInput, decode, encode, fit
from lamofc_codecs.record.framing import inspect, pack, sections
from lamofc_codecs.testing.samples import drawn_weights, feature

COARSE = [number / 4 - 32 for number in range(256)]


SIZES = {"hyperprior": Sizes("hyperprior", 8, 12), "elic": Sizes("elic", 8, 20, (1, 1, 2, 4, 12))}
"""Those of ELIC have groups and contexts as in the papers."""


@lru_cache(maxsize=2)
def weights(codec: str) -> Profile:
    return drawn_weights(SIZES[codec])


def profile(codec: str = "hyperprior", **options: object) -> Profile:
    return fit(codec, [], weights=weights(codec), levels=COARSE, assign="floor", fill="zero", **options)


def body(record: bytes) -> bytes:
    (section,) = sections(record, inspect(record))
    return bytes(section)


@pytest.mark.parametrize(("codec", "tile"), [("hyperprior", 0), ("hyperprior", 64), ("elic", 0)])
def test_each_plane_is_coded_as_if_it_were_alone(codec: str, tile: int) -> None:
    crops = [feature(70, 80, seed) for seed in (1, 2, 3)]
    together, alone = profile(codec, tile=tile, planes=True), profile(codec, tile=tile)
    (record,) = encode([torch.cat(crops)], together, planes=[3])
    apart = [one.data for one in encode(crops, alone)]
    assert torch.equal(decode([record.data], together)[0], torch.cat(decode(apart, alone)))
    tiles = 1 if not tile else 4
    lengths = [body(one)[4 : 4 + 4 * tiles] for one in apart]
    streams = [body(one)[4 + 4 * tiles :] for one in apart]
    assert body(record.data)[4:] == (3).to_bytes(4, "little") + b"".join(lengths) + b"".join(streams)


def test_one_plane_of_several_crops_is_another_record() -> None:
    crops = torch.cat([feature(70, 80, seed) for seed in (1, 2)])
    alone = profile(tile=0)
    with pytest.raises(UnsupportedInput, match=r"2 planes, profile .* as one"):
        encode([crops], alone, planes=[2])
    stacked = decode([encode([crops], alone)[0].data], alone)[0]
    planes = profile(tile=0, planes=True)
    assert not torch.equal(decode([encode([crops], planes, planes=[2])[0].data], planes)[0], stacked)
    assert torch.equal(decode([encode([crops], planes)[0].data], planes)[0], stacked)


@pytest.mark.parametrize("planes", [0, 3, 71, 140, 1 << 31])
def test_planes_that_do_not_fit_the_rows_are_refused(planes: int) -> None:
    source = torch.cat([feature(70, 80, seed) for seed in (1, 2)])
    fitted = profile(tile=0, planes=True)
    record = encode([source], fitted, planes=[2])[0].data
    header, whole = inspect(record), body(record)
    forged = whole[:4] + planes.to_bytes(4, "little") + whole[8:]
    with pytest.raises(CorruptRecord):
        decode([pack(header.number, fitted.id, header.grid, [[forged]])], fitted)


@pytest.mark.parametrize("planes", [[3], [0], [2, 2], [True + 0.5], 2])
def test_planes_that_no_tensor_has_are_refused(planes: object) -> None:
    with pytest.raises(UnsupportedInput, match="planes"):
        encode([feature(70, 80, 1)], profile(planes=True), planes=planes)  # type: ignore[arg-type]


def test_codecs_of_tokens_take_planes_as_one_sequence() -> None:
    source = feature(64, 8, 1)
    fitted = fit("uniform", [source], Quality(snr_db=10))
    assert encode([source], fitted, planes=[2])[0].data == encode([source], fitted)[0].data


def test_a_profile_of_one_plane_is_as_before() -> None:
    assert profile() == profile(planes=False)
    assert "planes" not in profile().config
