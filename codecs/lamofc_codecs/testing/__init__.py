"""Tests to subclass of the contract that every codec fulfils, and the deterministic tensors that they run on."""

from lamofc_codecs.testing.conformance import CodecConformance
from lamofc_codecs.testing.samples import SHAPES, drawn_weights, feature, picture

__all__ = ["SHAPES", "CodecConformance", "drawn_weights", "feature", "picture"]
