"""How levels are split into layers."""

import numpy as np
import pytest

from lamofc_codecs.klt.layers.passes import (
    CLASSES,
    COMPLETE,
    MIN_TWO_PASS_CLASS,
    OUTWARD_READ,
    UNREAD,
    LayerSplit,
    choose_split,
    state_after,
)
from lamofc_codecs.klt.layers.refinement import count_digits, pass_bits, previous_level, write_refinement
from lamofc_codecs.klt.layers.runs import Runs, columns_by_class
from lamofc_codecs.klt.quantise.token_classes import CLASS_FACTORS, TokenGroups


@pytest.mark.parametrize(("loudest", "halved"), [(90.0, True), (2.0, False)])
def test_levels_are_cut_where_half_of_their_bytes_are(loudest: float, halved: bool) -> None:
    draw = np.random.default_rng(3)
    energy = draw.integers(5, 11, 3000).astype(np.uint8)
    tokens, sigma = TokenGroups.from_classes(energy), np.geomspace(loudest, 0.1, 40).astype(np.float32)
    rows = np.rint(draw.standard_normal((3000, 40)) * CLASS_FACTORS[energy][:, None] * sigma).astype(np.int32)
    fine, runs = columns_by_class(rows, tokens), Runs.for_step(sigma[None], np.float32(1), tokens)
    bits = pass_bits(count_digits(fine, previous_level(fine), runs))
    assert choose_split(bits, 1 << 20) == LayerSplit()
    split = choose_split(bits, 32)
    sizes = [len(part) for part in write_refinement(fine, previous_level(fine), runs, split.passes)]
    assert (split.outward > 0) == halved
    assert len(sizes) == (4 if halved else 2)
    assert all(part > sum(sizes) / len(sizes) / 2 for part in sizes)
    assert bits.sum() / 8 == pytest.approx(sum(sizes), rel=0.02)


def test_fewer_layers_where_there_is_less_to_tell() -> None:
    bits = np.zeros((CLASSES, 2))
    bits[20:40] = 800.0
    assert [len(choose_split(bits, least).passes) for least in (500, 1000, 1400, 2001, 5000)] == [4, 4, 2, 1, 1]


def test_what_is_known_after_each_stage() -> None:
    split = LayerSplit(30, 20)
    known = [state_after(split.passes[:count]) for count in range(5)]
    assert (known[0] == UNREAD).all()
    assert known[1].tolist() == [UNREAD] * 30 + [OUTWARD_READ] * (CLASSES - 30)
    assert known[2].tolist() == [UNREAD] * MIN_TWO_PASS_CLASS + [OUTWARD_READ] * (CLASSES - MIN_TWO_PASS_CLASS)
    assert known[3].tolist() == [UNREAD] * MIN_TWO_PASS_CLASS + [OUTWARD_READ] * (20 - MIN_TWO_PASS_CLASS) + [
        COMPLETE
    ] * (CLASSES - 20)
    assert (known[4] == COMPLETE).all()
