"""fit, encode and decode: many records, mixed codecs, and errors that name what is wrong."""

from pathlib import Path

import pytest
import torch

from lamofc_codecs import (
    CorruptRecord,
    Packed,
    Quality,
    UnknownCodec,
    UnknownProfile,
    UnsupportedInput,
    decode,
    encode,
    fit,
    framing,
    inspect,
    verify,
)
from lamofc_codecs.record.framing import pack
from lamofc_codecs.record.grid import Grid
from lamofc_codecs.testing.samples import feature

UNIFORM = fit("uniform", [feature(200, 48, -1)], Quality(snr_db=15))
LLOYDMAX = fit("lloydmax", [feature(200, 31, -1)])
RAW = fit("raw", [])


def mixed() -> tuple[list[bytes], list[torch.Tensor]]:
    records, sources = [], []
    for number in range(40):
        profile, channels = ((UNIFORM, 48), (LLOYDMAX, 31), (RAW, 5))[number % 3]
        sources.append(feature(37 * number % 50, channels, number))
        records.append(encode([sources[-1]], profile)[0].data)
    return records, sources


def test_records_of_many_codecs_decode_together_however_they_are_given() -> None:
    records, sources = mixed()
    alone = [decode([record], [UNIFORM, LLOYDMAX])[0] for record in records]
    ways = [
        (records, [UNIFORM, LLOYDMAX]),
        (Packed.of(records), {profile.id: profile for profile in (LLOYDMAX, UNIFORM)}),
        ([memoryview(record) for record in records], iter([RAW, UNIFORM, LLOYDMAX])),
        ([bytearray(record) for record in records], {UNIFORM.id: UNIFORM, LLOYDMAX.id: LLOYDMAX}.values()),
    ]
    for given, profiles in ways:
        found = decode(given, profiles)
        assert len(found) == 40
        for one, many, source in zip(alone, found, sources, strict=True):
            assert torch.equal(one, many)
            assert one.shape == source.shape


def test_out_is_written_and_returned() -> None:
    records, sources = mixed()
    expected = decode(records, [UNIFORM, LLOYDMAX])
    room = [torch.full_like(source, 9) for source in sources]
    found = decode(records, [UNIFORM, LLOYDMAX], out=room)
    assert all(one is other for one, other in zip(found, room, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(expected, room, strict=True))
    strided = torch.zeros(48, 13).T
    decode(encode_one(feature(13, 48, 1)), UNIFORM, out=[strided])
    assert torch.equal(strided, decode(encode_one(feature(13, 48, 1)), UNIFORM)[0])
    with pytest.raises(UnsupportedInput, match="39 tensors to write to, but 40"):
        decode(records, [UNIFORM, LLOYDMAX], out=room[1:])
    with pytest.raises(UnsupportedInput, match="with dtype"):
        decode(records[:1], UNIFORM, out=room[:1], dtype=torch.float16)


def encode_one(source: torch.Tensor) -> list[bytes]:
    return [encode([source], UNIFORM)[0].data]


def test_the_missing_profile_is_named() -> None:
    records = encode_one(feature(30, 48, 1))
    with pytest.raises(UnknownProfile, match=f"wants profile {UNIFORM.id[:32]}; given: {LLOYDMAX.id[:12]}"):
        decode(records, LLOYDMAX)
    with pytest.raises(UnknownProfile, match="given: none"):
        decode(records, None)


def test_a_record_of_an_unknown_codec_or_with_anothers_profile_is_refused() -> None:
    grid = Grid((1,), (48,), ("float32",))
    with pytest.raises(UnknownCodec, match="number 200"):
        decode([pack(200, UNIFORM.id, grid, [[b""]])], UNIFORM)
    with pytest.raises(CorruptRecord, match="of codec lloydmax, its profile"):
        decode([pack(3, UNIFORM.id, grid, [[b""]])], UNIFORM)


def test_a_record_that_claims_much_and_holds_little_is_refused_quickly() -> None:
    for tokens, channels in ((1 << 25, 48), (1 << 33 - 6, 48)):
        grid = Grid((tokens,), (channels,), ("float32",))
        for content in (b"", b"\x00\x00\x80\x3f\x00\x04\x00\x00\x00\x00\x00\x00\x00"):
            with pytest.raises(CorruptRecord):
                decode([pack(2, UNIFORM.id, grid, [[content]])], UNIFORM)


def test_grids_that_these_codecs_do_not_write_are_refused() -> None:
    grid = Grid((1,), (48, 48), ("float32", "float32"))
    with pytest.raises(CorruptRecord, match="codes one feature a record, this one holds 2"):
        decode([pack(1, "", grid, [[b""]])], None)
    grid = Grid((1, 1), (48, 48), ("float32", "float32"))
    with pytest.raises(CorruptRecord, match="2 items x 2 parts"):
        decode([pack(1, "", grid, [[b""]])], None)
    with pytest.raises(UnsupportedInput, match="parts"):
        decode(encode_one(feature(3, 48, 1)), UNIFORM, parts=[1])
    assert len(decode(encode_one(feature(3, 48, 1)), UNIFORM, parts=[0], items=[0])) == 1


def test_inputs_that_are_not_tokens_by_channels_are_refused() -> None:
    for source in (torch.ones(3), torch.ones(2, 3, 4), torch.ones(3, 48).to_sparse()):
        with pytest.raises(UnsupportedInput, match="dense tokens x channels"):
            encode([source], RAW)
    with pytest.raises(UnsupportedInput, match=r"codes single features, got \['a', 'b'\]"):
        encode([{"a": torch.ones(3, 48), "b": torch.ones(3, 48)}], UNIFORM)
    with pytest.raises(UnsupportedInput, match="one dtype and channel count"):
        encode([[torch.ones(3, 48), torch.ones(3, 47)]], UNIFORM)
    with pytest.raises(UnsupportedInput, match="no item"):
        encode([[]], UNIFORM)


def test_values_of_another_kind_are_refused() -> None:
    record = encode([feature(3, 48, 1)], UNIFORM)[0]
    array = feature(3, 48, 1).numpy()
    for given in (array, [array]):
        with pytest.raises(UnsupportedInput, match=r"a numpy\.ndarray where a tensor is expected") as caught:
            encode([given], UNIFORM)  # type: ignore[list-item]
        assert "torch.from_numpy(array)" in caught.value.cure
    for codec in ("uniform", "klt", "lloydmax"):
        with pytest.raises(UnsupportedInput, match=r"a numpy\.ndarray where a tensor is expected"):
            fit(codec, [array])  # type: ignore[list-item]
    for single in (record, record.data):
        with pytest.raises(UnsupportedInput, match=r"records is one \w+, not a list") as caught:
            decode(single, UNIFORM)  # type: ignore[arg-type]
        assert caught.value.cure == "give [record.data]"
    for read in (lambda: decode([record], UNIFORM), lambda: inspect(record), lambda: framing(record)):  # type: ignore[list-item, arg-type]
        with pytest.raises(UnsupportedInput, match="a record is a Record, not bytes") as caught:
            read()
        assert caught.value.cure == "give its data"


def test_a_path_is_no_profile() -> None:
    path = Path("a.safetensors")
    for profiles in (str(path), path, [str(path)], {"a": path}):
        with pytest.raises(UnsupportedInput, match=r"'a\.safetensors'\)? is no Profile") as caught:
            decode(encode_one(feature(3, 48, 1)), profiles)  # type: ignore[arg-type]
        assert caught.value.cure == "give Profile.load(path)"
    with pytest.raises(UnsupportedInput, match="'p' is no Profile"):
        encode([feature(3, 48, 1)], "p")  # type: ignore[arg-type]


def test_gradients_are_left_alone() -> None:
    source = feature(30, 48, 1).requires_grad_()
    assert not decode(encode_one(source), UNIFORM)[0].requires_grad


def test_nothing_at_all() -> None:
    assert encode([], UNIFORM) == []
    assert decode([], None) == []


def test_the_first_error_in_a_threaded_batch_is_raised() -> None:
    sources = [feature(3000, 48, seed) for seed in range(6)]
    sources[4][7, 7] = float("nan")
    with pytest.raises(Exception, match="token 7, channel 7"):
        encode(sources, UNIFORM)


def test_a_lossy_record_that_raw_beats_is_raw() -> None:
    noise = torch.randint(0, 256, (20, 96), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    source = noise.view(torch.bfloat16).nan_to_num(0, 1, -1)
    record = encode([source], UNIFORM, quality=Quality(max_error=1e-30))[0]
    assert record.codec == "raw"
    assert record.sse == record.bulk_sse == 0
    assert record.signal > 0
    assert torch.equal(decode([record.data], None)[0], source)


def test_checksums_are_computed_once_for_verified_records_and_always_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lamofc_codecs.record import framing

    records, _ = mixed()
    packed, computed, crc32c = Packed.of(records), [], framing.crc32c
    monkeypatch.setattr(framing, "crc32c", lambda data: (computed.append(len(data)), crc32c(data))[1])
    expected = decode(packed, [UNIFORM, LLOYDMAX])
    assert len(computed) == 2 * len(records)
    computed.clear()
    checked = verify(packed)
    for found in (decode(checked, [UNIFORM, LLOYDMAX]), decode(checked.take(range(40)), [UNIFORM, LLOYDMAX])):
        assert all(map(torch.equal, found, expected))
    assert computed == []
    decode(list(checked), [UNIFORM, LLOYDMAX])
    assert len(computed) == 2 * len(records)


def test_a_fit_tells_how_far_it_is() -> None:
    shares: list[float] = []
    samples = [feature(200, 48, seed) for seed in range(6)]
    told = fit("klt", samples, Quality(snr_db=15), progress=shares.append)
    assert len(shares) >= 3 and shares == sorted(shares) and shares[0] > 0 and shares[-1] < 1
    assert told.id == fit("klt", samples, Quality(snr_db=15)).id
    fit("uniform", samples, Quality(snr_db=15), progress=shares.append)
    assert len(shares) < 6  # a codec that cannot tell is fitted all the same
