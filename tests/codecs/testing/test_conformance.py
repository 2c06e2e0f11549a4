"""The conformance class finds what it is there to find."""

from collections.abc import Sequence
from unittest.mock import patch

import pytest
import torch

from lamofc_codecs import Encoding, Quality, Source
from lamofc_codecs.raw.codec import Raw
from lamofc_codecs.stats.distortion import Distortion
from lamofc_codecs.testing.conformance import CodecConformance
from lamofc_codecs.uniform.codec import Uniform


class Noisier(CodecConformance):
    codec = "uniform"
    quality = Quality(snr_db=15)
    noise = 10**-1.6


class Plain(CodecConformance):
    codec = "raw"


def test_more_noise_than_promised() -> None:
    with pytest.raises(AssertionError):
        Noisier().test_shapes_come_back()


def test_a_false_figure() -> None:
    honest = Raw.encode
    with (
        patch.object(Raw, "encode", lambda *given: Encoding(honest(*given).layers, (Distortion(1.0, 0.0, 0.0),))),
        pytest.raises(AssertionError, match="sse"),
    ):
        Plain().test_shapes_come_back()


def test_a_record_that_depends_on_what_came_before() -> None:
    seen = 0

    def encode(self: Raw, source: Source, quality: Quality | None = None) -> Encoding:
        nonlocal seen
        seen += 1
        return Encoding((b"\0" + bytes([seen % 256]) * source.tensor.nbytes,))

    with patch.object(Raw, "encode", encode), pytest.raises(AssertionError):
        Plain().test_a_record_does_not_depend_on_its_batch_or_the_threads()


def test_a_decoder_that_trusts_its_bytes() -> None:
    def decode(self: Uniform, layers: Sequence[memoryview], out: torch.Tensor) -> None:
        out[layers[0][5]] = layers[0][40]

    with patch.object(Uniform, "decode", decode), pytest.raises(IndexError):
        Noisier().test_forged_sections_do_no_harm()
