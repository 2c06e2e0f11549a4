"""VTM in place of VVenC, with programs that take its command lines: VTM itself was not run."""

import sys
from pathlib import Path

import pytest
import torch

from lamofc_codecs import CodecError, CorruptRecord, Profile, Quality, UnsupportedInput, decode, encode, fit
from lamofc_codecs.testing.samples import picture
from lamofc_codecs.video import vtm

pytest.importorskip("imageio_ffmpeg")
from tests.codecs.video.vtm_stand_in import install

SOURCE = picture(5, 6, 20, 1)
RANGE = (-8.0, 8.0)


@pytest.fixture(autouse=True)
def no_encoder_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins as a process that was given no encoder."""
    monkeypatch.setattr(vtm, "_known", {})


def test_the_profile_tells_that_vtm_coded_and_the_record_is_its_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = fit("vvc", [SOURCE], Quality(qp=22), range=RANGE, vtm=str(install(tmp_path)))
    assert profile.config["encoder"] == "VTM 23.3"
    assert str(tmp_path) not in profile.data.decode("latin1")
    record = encode([SOURCE], profile)[0]
    plain = fit("vvc", [SOURCE], Quality(qp=22), range=RANGE, preset="faster")
    assert "encoder" not in plain.config
    assert record.sse == encode([SOURCE], plain)[0].sse
    monkeypatch.setattr(vtm, "_known", {})  # as a process to which nobody named the encoder
    decoded = decode([record.data], Profile.from_bytes(profile.data))[0]
    assert float((decoded - SOURCE).double().square().sum()) == pytest.approx(record.sse, rel=1e-5)
    with pytest.raises(CodecError, match=r"the profile codes by VTM 23\.3, none is known"):
        encode([SOURCE], profile)


def test_streams_that_only_vtm_reads_are_decoded_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = fit("vvc", [SOURCE], Quality(qp=22), range=RANGE, vtm=install(tmp_path, masked=True))
    record = encode([SOURCE], profile)[0]
    assert torch.isfinite(decode([record.data], profile)[0]).all()
    monkeypatch.setattr(vtm, "_known", {})
    with pytest.raises(CorruptRecord, match="is refused"):
        decode([record.data], profile)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert torch.isfinite(decode([record.data], profile)[0]).all()


def test_a_decoder_that_writes_without_end_is_stopped(tmp_path: Path) -> None:
    profile = fit("vvc", [SOURCE], Quality(qp=22), range=RANGE, vtm=install(tmp_path, masked=True))
    record = encode([SOURCE], profile)[0]
    decoder = tmp_path / "bin/DecoderApp"
    decoder.write_text("#!/bin/sh\ncat /dev/zero > out.yuv\n")
    with pytest.raises(CorruptRecord, match="is refused"):
        decode([record.data], profile)
    decoder.write_text(f"#!{sys.executable}\nbytes(16 << 30)\n")
    with pytest.raises(CorruptRecord, match=r"is refused: .*MemoryError"):
        decode([record.data], profile)


def test_what_is_no_vtm_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho something else\n")
    for path, message in ((tmp_path / "none", "is no program"), (other, "cannot be run")):
        with pytest.raises(UnsupportedInput, match=message):
            fit("vvc", [SOURCE], vtm=path)
    other.chmod(0o755)
    vtm._version.cache_clear()
    with pytest.raises(UnsupportedInput, match="does not say that it is VTM's encoder"):
        fit("vvc", [SOURCE], vtm=other)
    with pytest.raises(UnsupportedInput, match="hevc has no option"):
        fit("hevc", [SOURCE], vtm=other)
    profile = fit("vvc", [SOURCE], range=RANGE, vtm=install(tmp_path / "bare", config=False))
    with pytest.raises(CodecError, match=r"has no encoder_intra_vtm\.cfg"):
        encode([SOURCE], profile)


def test_no_program_that_a_profile_names_is_run(tmp_path: Path) -> None:
    """A path in a profile is a name that nothing answers to."""
    profile = fit("vvc", [SOURCE], range=RANGE)
    hostile = Profile("vvc", {**profile.config, "encoder": str(install(tmp_path))}, profile.tensors)
    with pytest.raises(CodecError, match="none is known"):
        encode([SOURCE], hostile)
