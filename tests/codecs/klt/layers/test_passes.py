"""How levels are cut into layers."""

import numpy as np
import pytest

from lamofc_codecs.klt.layers.passes import ALL, CLASSES, HALF, HALVED, NONE, LayerSplit, choose_cut, state_after
from lamofc_codecs.klt.layers.refinement import digits_of, halves_of, previous_level, write_refinement
from lamofc_codecs.klt.layers.runs import Runs, columns_by_class
from lamofc_codecs.klt.quantise.token_classes import FACTORS, Tokens


@pytest.mark.parametrize(("loudest", "halved"), [(90.0, True), (2.0, False)])
def test_levels_are_cut_where_half_of_their_bytes_are(loudest: float, halved: bool) -> None:
    draw = np.random.default_rng(3)
    energy = draw.integers(5, 11, 3000).astype(np.uint8)
    tokens, sigma = Tokens.of(energy), np.geomspace(loudest, 0.1, 40).astype(np.float32)
    rows = np.rint(draw.standard_normal((3000, 40)) * FACTORS[energy][:, None] * sigma).astype(np.int32)
    fine, runs = columns_by_class(rows, tokens), Runs.of(sigma[None], np.float32(1), tokens)
    halves = halves_of(digits_of(fine, previous_level(fine), runs))
    assert choose_cut(halves, 1 << 20) == LayerSplit()
    cut = choose_cut(halves, 32)
    sizes = [len(part) for part in write_refinement(fine, previous_level(fine), runs, cut.stages)]
    assert (cut.halves > 0) == halved
    assert len(sizes) == (4 if halved else 2)
    assert all(part > sum(sizes) / len(sizes) / 2 for part in sizes)
    assert halves.sum() / 8 == pytest.approx(sum(sizes), rel=0.02)


def test_fewer_layers_where_there_is_less_to_tell() -> None:
    halves = np.zeros((CLASSES, 2))
    halves[20:40] = 800.0
    assert [len(choose_cut(halves, least).stages) for least in (500, 1000, 1400, 2001, 5000)] == [4, 4, 2, 1, 1]


def test_what_is_known_after_each_stage() -> None:
    cut = LayerSplit(30, 20)
    known = [state_after(cut.stages[:count]) for count in range(5)]
    assert (known[0] == NONE).all()
    assert known[1].tolist() == [NONE] * 30 + [HALF] * (CLASSES - 30)
    assert known[2].tolist() == [NONE] * HALVED + [HALF] * (CLASSES - HALVED)
    assert known[3].tolist() == [NONE] * HALVED + [HALF] * (20 - HALVED) + [ALL] * (CLASSES - 20)
    assert (known[4] == ALL).all()
