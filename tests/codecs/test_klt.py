"""Codec klt: qualities met sample by sample, layers as copies of lower rates, outliers, profiles that do not fit."""

from typing import ClassVar

from lamofc_codecs import Quality
from lamofc_codecs.testing import CodecConformance


class TestWhole(CodecConformance):
    codec = "klt"
    quality = Quality(snr_db=20)
    noise = 0.01


class TestWithMeans(CodecConformance):
    codec = "klt"
    quality = Quality(snr_db=10)
    options: ClassVar[dict[str, object]] = {"means": 16, "layers": 2}
    noise = 0.1


class TestWithoutTransform(CodecConformance):
    codec = "klt"
    quality = Quality(snr_db=30)
    options: ClassVar[dict[str, object]] = {"transform": "none"}
    noise = 0.001
