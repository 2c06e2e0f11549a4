"""`lamofc correlate`: the papers' coefficients from their printed figures, computed a second way."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

from lamofc_store.errors import BadArgument
from lamofc_tools.comparison import Correlation, paper_correlations, paper_table, pearson

Lamofc: TypeAlias = Callable[..., Any]
NOT_REPRODUCED = [
    *[("lamofcbench-9", name, "Hyperprior") for name in ("GSM8K", "ArcChallenge", "TruthfulQA", "Hellaswag")],
    *[("lamofcbench-9", name, "ELIC") for name in ("ArcChallenge", "TruthfulQA", "Hellaswag", "Winogrande")],
    ("lamofcbench-11", "latents", "ELIC"),
]


def figures(found: Correlation) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    table = paper_table(found.table)
    places = [table["columns"].index(f"{found.set} {name}") for name in ("MSE", found.performance)]
    rows = np.array([[row[place] for place in places] for row in table["rows"] if row[0] == found.codec], float)
    return rows[:, 0], rows[:, 1]


def test_coefficients_are_those_of_numpy() -> None:
    correlations = paper_correlations()
    assert len(correlations) == 60
    for found in correlations:
        mse, scores = figures(found)
        rho = np.corrcoef(mse, scores)[0, 1]
        assert found.points == len(mse) == 5
        assert found.recomputed == pytest.approx(rho**2 if found.statistic == "r2" else rho, abs=1e-12)


def test_printed_coefficients_are_reproduced_but_for_rounding() -> None:
    """The tables give 51 of the 60 printed coefficients; rounded figures may hide the rest, so no table is misread."""
    correlations = paper_correlations()
    different = [(found.table, found.set, found.codec) for found in correlations if not found.reproduced]
    assert different == NOT_REPRODUCED
    assert all(found.explained for found in correlations)


def test_rounding_bounds_what_rounded_figures_hide() -> None:
    """No figures that round to the printed ones, on a small scale, move a coefficient further; some nearly do."""
    draw = np.random.default_rng(0)
    found = next(one for one in paper_correlations(["lamofcbench-9"]) if one.set == "Hellaswag")
    mse, scores = figures(found)
    scale = 1e-3
    moved = [
        np.corrcoef(
            mse + scale * draw.choice([-0.0005, 0.0005], 5), scores + scale * draw.choice([-0.0005, 0.0005], 5)
        )[0, 1]
        for _ in range(4000)
    ]
    largest = max(abs(value - found.recomputed) for value in moved) / scale
    assert 0.95 * found.rounding < largest < 1.001 * found.rounding


def test_a_constant_has_no_coefficient() -> None:
    assert np.isnan(pearson([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))
    assert pearson([0.0, 1.0], [5.0, 2.0]) == pytest.approx(-1.0)


def test_the_command_names_what_differs(lamofc: Lamofc) -> None:
    ran = lamofc("correlate", "lamofcbench-11", "lamofc-3")
    assert "13 of 14 coefficients are the printed ones; not: lamofcbench-11 latents ELIC" in ran.out
    rows = lamofc("correlate", "lamofc-3", "--json").document["correlations"]
    assert {row["statistic"] for row in rows} == {"r2"}
    assert all(row["reproduced"] for row in rows)
    with pytest.raises(BadArgument, match="lamofcbench-2"):
        paper_correlations(["lamofcbench-2"])
