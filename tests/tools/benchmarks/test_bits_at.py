"""Bits at one divergence: between two rows of a curve, at its last crossing."""

import math

import pytest

from lamofc_tools.benchmarks.learning.peers import coders
from lamofc_tools.benchmarks.learning.peers.kvtc import Kvtc
from lamofc_tools.benchmarks.learning.replayed.bits_at import bits_at


def row(bits: float, kl_prefix: float, kl_continued: float, codec: str = "a", scope: str = "all") -> dict[str, object]:
    place = {"codec": codec, "scope": scope, "block": 4, "tokens": 192, "fit_texts": 9, "profile_bits": 0.1}
    return {**place, "bits": bits, "kl_prefix": kl_prefix, "kl_continued": kl_continued}


def test_bits_at_a_divergence_lie_between_two_rows() -> None:
    rows = [row(3.0, 0.01, 0.025), row(1.0, 0.1, 0.02), row(2.0, 0.5, 0.1), row(4.0, 0.0, -1e-9)]
    rows += [row(1.0, 0.2, 0.1, "above"), row(2.0, 0.04, 0.06, "above"), row(2.0, 0.04, 0.04, "below")]
    found = {one["codec"]: one for one in bits_at(rows)}
    assert found["a"]["bits"] == pytest.approx(2.0 + math.log(0.5 / 0.05) / math.log(0.5 / 0.025))
    assert found["a"]["profile_bits"] == pytest.approx(0.1) and found["a"]["tokens"] == 192
    assert found["above"]["bits"] is None and found["below"]["bits"] is None


def test_caches_alone_are_held_to_a_smaller_divergence_of_the_continuation() -> None:
    rows = [row(0.2, 0.0, 0.02, scope="caches"), row(0.4, 0.0, 0.005, scope="caches")]
    (found,) = bits_at(rows)
    assert found["kl"] == 0.01 and found["bits"] == pytest.approx(0.3)


def test_a_window_of_raw_tokens_is_a_curve_of_its_own() -> None:
    kvtc = [coder for coder in coders.usual_coders() if isinstance(coder, Kvtc)]
    assert {(coder.codec, coder.window) for coder in kvtc} == {("kvtc", 0), ("kvtc, window", 128)}
    rows = [row(coder.bits + coder.window, 0.1 / coder.bits, 0, coder.codec) for coder in kvtc]
    assert len(bits_at(rows)) == 2
