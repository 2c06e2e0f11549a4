"""Plans of all tables, from nothing: what is printed stands in its place, and what is missing is named."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lamofc_tools.comparison import paper_correlations, paper_table
from lamofc_tools.reproduction import PLANS, Inputs, plan_of, reproduce
from lamofc_tools.reproduction.parts import Row

RATES = [f"lamofcbench-{number}" for number in (7, 8, 9, 10, 11, 12)]


@pytest.fixture
def nothing(tmp_path: Path) -> Inputs:
    return Inputs(*(tmp_path / name for name in ("features", "weights", "judges", "results")))


def ignore(*_: Any) -> None:
    """No progress is shown."""


@pytest.mark.parametrize("name", PLANS)
def test_from_nothing_everything_is_missing_and_nothing_is_made(name: str, nothing: Inputs) -> None:
    found = reproduce(plan_of(name), nothing, ignore)
    assert found.parts > 0
    assert not found.measured
    assert not nothing.results.exists()
    assert {one.kind for one in found.missing} <= {"features", "calibration", "weights", "performance"}
    assert max(Counter(one.name for one in found.missing).values()) == 1
    folders = [str(folder) for folder in (nothing.features, nothing.weights, nothing.judges)]
    for one in found.missing:
        assert one.name.startswith(tuple(folders))
        assert one.command.startswith(("lamofc ", "python: "))
    paths = {one.name for one in found.missing if one.kind == "features"}
    assert paths
    assert all(path in " ".join(one.command for one in found.missing) for path in paths)


@pytest.mark.parametrize("name", sorted(set(PLANS) - {"lamofcbench-figure-2", "lamofc-5"}))
def test_every_printed_number_stands_in_its_column(name: str) -> None:
    table, plan = paper_table(name), plan_of(name)
    for block in plan.blocks:
        one_set = block.title and any(column.startswith(f"{block.title} ") for column in table["columns"])
        named = [f"{block.title} {heading}" if one_set else heading for heading in block.figures]
        places = [table["columns"].index(heading) for heading in named if heading in table["columns"]]
        printed = Counter(tuple(row[place] for place in places) for row in table["rows"])
        relations = ("Correlation", "R2")
        shown = [row for row in block.rows if row.printed and not str(row.labels[0]).endswith(relations)]
        assert Counter(row.printed for row in shown) == printed
        if "lambda" in table["columns"]:
            assert all(_lambda_of(table, places, row) in (None, row.labels[-1]) for row in shown)
    assert all(len(row.cells) <= len(block.figures) for block in plan.blocks for row in block.rows)


@pytest.mark.parametrize("name", ["lamofc-3", "lamofc-6", "lamofc-s5"])
def test_printed_rates_follow_the_settings_that_are_not_printed(name: str) -> None:
    """More bits for a larger lambda, and fewer for a larger quantisation parameter."""
    for block in plan_of(name).blocks:
        place, printed = block.figures.index("BPFP"), [row for row in block.rows if row.printed]
        for coder in {row.labels[0] for row in printed}:
            points = sorted((row.labels[-1], row.printed[place]) for row in printed if row.labels[0] == coder)
            rates = [rate for setting, rate in points if setting is not None]
            falls = coder in ("VTM", "narrow", "wide")
            assert rates == sorted(rates, reverse=falls), (block.title, coder)


def _lambda_of(table: Any, places: list[int], shown: Row) -> float | None:
    """The printed lambda of a row of a plan, found by its codec, or by the weights, and its numbers."""
    columns = table["columns"]
    named = next((columns.index(name) for name in ("codec", "trained on") if name in columns), None)
    (found,) = {
        row[columns.index("lambda")]
        for row in table["rows"]
        if tuple(row[place] for place in places) == shown.printed and (named is None or row[named] == shown.labels[0])
    }
    return found


@pytest.mark.parametrize("number", [7, 8, 9, 11, 12])
def test_correlations_of_printed_columns_stand_beside(number: int) -> None:
    rows = [row for block in plan_of(f"lamofcbench-{number}").blocks for row in block.rows]
    found = {}
    for codec in ("Hyperprior", "ELIC"):
        printed = [value for row in rows if row.labels[0] == f"{codec}: Correlation" for value in row.printed]
        found[codec] = sorted(value for value in printed if isinstance(value, float))
    expected: dict[str, list[float]] = {}
    for one in paper_correlations([f"lamofcbench-{number}"]):
        expected.setdefault(one.codec, []).append(one.recomputed)
    assert found == {codec: pytest.approx(sorted(values)) for codec, values in expected.items()}


def test_determination_of_printed_columns_is_that_of_table_5() -> None:
    blocks = plan_of("lamofc-3").blocks
    for codec, *values in paper_table("lamofc-5")["rows"]:
        found = []
        for block in blocks:
            (row,) = [row for row in block.rows if row.labels[0] == f"{codec}: R2"]
            found += [value for value in row.printed if isinstance(value, float)]
        assert [found[place] for place in (0, 1, 3)] == pytest.approx([values[place] for place in (0, 1, 3)], abs=0.02)


@pytest.mark.parametrize("name", RATES)
def test_the_native_codec_is_a_further_row(name: str) -> None:
    for block in plan_of(name).blocks:
        rows = [row for row in block.rows if row.labels[0] == "klt"]
        assert len(rows) == 5
        assert not any(row.printed for row in rows)
        assert all(len(row.cells) == len(block.figures) for row in rows)
