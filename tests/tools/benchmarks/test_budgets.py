"""The table of all budgets: bounds, limits of the machine, failed benchmarks, and runs side by side."""

import json
from pathlib import Path
from typing import Any

import pytest

from lamofc_tools.benchmarks.budgets import BUDGETS, Budget, Limits, slower_than
from lamofc_tools.benchmarks.budgets import all as program
from lamofc_tools.benchmarks.budgets.listed import ARGUMENTS

LIMITS = Limits(memory=8.0, disk=2.0)


def test_every_budget_has_a_benchmark_and_every_benchmark_a_budget() -> None:
    assert {budget.benchmark for budget in BUDGETS} == set(ARGUMENTS)
    assert len({budget.claim for budget in BUDGETS}) == len(BUDGETS)


def test_a_figure_is_compared_with_its_bound_and_with_the_machine() -> None:
    fast = Budget("decode", "cpu", lambda document: document["speed"], 1.0, "GB/s", limit="memory")
    shown, missed = (fast.outcome({"speed": speed}, LIMITS) for speed in (2.0, 0.5))
    assert (shown.status, shown.value, shown.of_limit, missed.status) == ("shown", 2.0, 0.25, "missed")
    short = Budget("open", "store", lambda document: document["s"], 1.0, "s", at_most=True)
    assert [short.outcome({"s": seconds}, LIMITS).status for seconds in (1.0, 1.1)] == ["shown", "missed"]
    assert short.outcome({"s": 1.0}, LIMITS).row()["of_limit"] is None
    assert (fast.words, short.words) == (">= 1 GB/s", "<= 1 s")


def test_the_machine_is_measured(tmp_path: Path) -> None:
    limits = Limits.measure(tmp_path)
    assert limits.memory > 0.1 and limits.disk > 0


def row(claim: str, value: float | None, at_most: bool) -> dict[str, Any]:
    return {"claim": claim, "value": value, "at_most": at_most}


def test_figures_of_two_runs_are_compared_in_ratios() -> None:
    before = [row("speed", 2.0, False), row("seconds", 1.0, True), row("same", 1.0, True), row("gone", 1.0, True)]
    now = [row("speed", 1.0, False), row("seconds", 1.5, True), row("same", 1.1, True), row("new", 1.0, True)]
    now += [row("failed", None, True)]
    assert dict(slower_than({"rows": before}, {"rows": now})) == {"speed": 2.0, "seconds": 1.5}
    assert dict(slower_than({"rows": now}, {"rows": before})) == {}


def test_the_program_runs_benchmarks_names_failures_and_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "ARGUMENTS", {"startup": ("--rounds", "1"), "memory": ("--tokens", "no number")})
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    assert (
        program.BENCHMARK.main(
            ["--only", "startup,memory", "--output", str(first), "--against", str(tmp_path / "no.json")]
        )
        != 0
    )
    assert program.BENCHMARK.main(["--only", "startup,memory", "--output", str(first)]) == 0
    assert "lamofc --help" in capsys.readouterr().out
    document = json.loads(first.read_text())
    by_claim = {row["claim"]: row for row in document["rows"]}
    assert by_claim["lamofc ls"]["value"] > 0 and by_claim["lamofc ls"]["status"] in ("shown", "missed")
    failed = by_claim["decoder's memory beside 3141 x 4096"]
    assert failed["value"] is None and "invalid int value" in failed["status"]
    for own in document["rows"]:
        own["value"] = own["value"] and own["value"] / 100
    first.write_text(json.dumps(document))
    assert program.BENCHMARK.main(["--only", "startup", "--output", str(second), "--against", str(first)]) == 0
    printed = capsys.readouterr().out
    assert "against a run on" in printed and "lamofc sql: " in printed
    assert program.BENCHMARK.main(["--only", "llm"]) == 2
    assert "llm has no budget here" in capsys.readouterr().err
