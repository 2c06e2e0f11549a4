"""The conformance class finds what it is there to find."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any
from unittest.mock import patch

import pytest
import torch

from lamofc_codecs import CorruptRecord, Encoding, Quality, Source
from lamofc_codecs.raw.codec import Raw
from lamofc_codecs.stats.distortion import Distortion
from lamofc_codecs.testing import other_process
from lamofc_codecs.testing.assertions import must_match, must_raise
from lamofc_codecs.testing.conformance import CodecConformance
from lamofc_codecs.testing.other_process import decode_elsewhere
from lamofc_codecs.uniform.codec import Uniform


class Noisier(CodecConformance):
    codec = "uniform"
    quality = Quality(snr_db=15)
    noise = 10**-1.6


class Plain(CodecConformance):
    codec = "raw"


def test_more_noise_than_promised() -> None:
    with pytest.raises(AssertionError, match=r"bulk_sse of the record: expected at most [\d.e+]+, measured [\d.e+]+$"):
        Noisier().test_shapes_come_back()


def test_a_false_figure() -> None:
    honest = Raw.encode
    with (
        patch.object(Raw, "encode", lambda *given: Encoding(honest(*given).layers, (Distortion(1.0, 0.0, 0.0),))),
        pytest.raises(AssertionError, match=r"^sse of the record: expected \S+, measured 1$"),
    ):
        Plain().test_shapes_come_back()


def test_a_record_that_depends_on_what_came_before() -> None:
    seen = 0

    def encode(self: Raw, source: Source, quality: Quality | None = None) -> Encoding:
        nonlocal seen
        seen += 1
        return Encoding((b"\0" + bytes([seen % 256]) * source.tensor.nbytes,))

    with patch.object(Raw, "encode", encode):
        with pytest.raises(AssertionError, match=r"^records of a batch, 1 threads: expected .*, measured "):
            Plain().test_a_record_does_not_depend_on_its_batch_or_the_threads()
        with pytest.raises(AssertionError, match=r"^layers of a second encode: expected .*, measured "):
            Plain().test_encoding_again_gives_the_same_bytes()


def test_errors_that_differ_from_call_to_call() -> None:
    honest, calls = Raw.encode, count(1.0)

    def encode(*given: Any) -> Encoding:
        return Encoding(honest(*given).layers, (Distortion(next(calls), 0.0, 0.0),))

    with patch.object(Raw, "encode", encode), pytest.raises(AssertionError, match=r"^errors of a second encode: "):
        Plain().test_encoding_again_gives_the_same_bytes()


@pytest.mark.parametrize(
    "change", [{"reached": False}, {"layers": (bytes(1 << 20),)}], ids=["misses the quality", "saves no byte"]
)
def test_a_codec_whose_records_are_raw(change: dict[str, Any]) -> None:
    honest = Uniform.encode
    with (
        patch.object(Uniform, "encode", lambda *given: replace(honest(*given), **change)),
        pytest.raises(AssertionError, match=r"^codec of a record: expected uniform, measured raw"),
    ):
        Noisier().test_a_record_is_of_this_codec()


def test_a_process_that_cannot_decode_or_ends_is_told_and_the_next_record_has_another() -> None:
    plain = Plain()
    record, _ = plain.coded(torch.ones(3, 2))
    good = decode_elsewhere(record.data, plain.profile(2), "raw")
    with pytest.raises(
        AssertionError, match=r"^another process cannot decode the record:\nTraceback(.|\n)*CorruptRecord"
    ):
        decode_elsewhere(record.data[:-1], plain.profile(2), "raw")
    other_process._decoder().kill()
    with pytest.raises(
        AssertionError, match=r"^another process cannot decode the record:\nit ended with exit status -9"
    ):
        decode_elsewhere(record.data, plain.profile(2), "raw")
    assert decode_elsewhere(record.data, plain.profile(2), "raw") == good
    with patch.object(other_process.json, "loads", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        decode_elsewhere(plain.coded(torch.zeros(4, 2))[0].data, plain.profile(2), "raw")
    assert decode_elsewhere(record.data, plain.profile(2), "raw") == good


def test_assertions_name_the_figure_what_was_expected_and_what_was_measured() -> None:
    failing = {
        "shape decoded: expected (2,), measured (3,)": partial(must_match, "decoded", torch.zeros(3), torch.zeros(2)),
        "values decoded: expected 0 different ones, measured 1": partial(
            must_match, "decoded", torch.tensor([0.0, 1.0]), torch.zeros(2)
        ),
        "decode: expected CorruptRecord, measured no error": partial(must_raise, CorruptRecord, "decode", dict),
        "decode: expected CorruptRecord, measured KeyError: 1": partial(
            must_raise, CorruptRecord, "decode", partial({}.__getitem__, 1)
        ),
    }
    for words, act in failing.items():
        with pytest.raises(AssertionError, match=f"^{re.escape(words)}$"):
            act()


def test_a_decoder_that_trusts_its_bytes() -> None:
    def decode(self: Uniform, layers: Sequence[memoryview], out: torch.Tensor) -> None:
        out[layers[0][5]] = layers[0][40]

    with patch.object(Uniform, "decode", decode), pytest.raises(IndexError):
        Noisier().test_forged_sections_do_no_harm()
