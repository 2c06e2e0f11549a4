"""Plans of DT-UFC: Tables 2 to 6."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lamofc_codecs import published_settings
from lamofc_tools.comparison import paper_table
from lamofc_tools.reproduction.parts import Coder, Plan
from lamofc_tools.reproduction.tables.data_sets import TASKS
from lamofc_tools.reproduction.tables.lamofc import PERCENTS, hyperprior
from lamofc_tools.reproduction.tables.lamofcbench import HYBRID, KLT, LAMBDAS
from lamofc_tools.reproduction.tables.rate_blocks import RateTable

PAPER = "dt-ufc"
_TASKS = ("csr", "seg", "tti")


def _trained(codec: str, task: str, row: str, weights: str) -> Coder:
    lambdas = published_settings(PAPER).training_of(codec, task).lambdas
    return Coder(row, codec, lambdas, weights=weights, as_published=PAPER)


def _plan(table: RateTable, coders: Callable[[str], Sequence[Coder]], note: str = "") -> Plan:
    blocks = tuple(table.block(task, TASKS[task], [*coders(task), KLT]) for task in _TASKS)
    return Plan(paper_table(table.name)["title"], blocks, note)


def _hybrid(number: int, codec: str, row: str) -> Plan:
    table = RateTable(f"{PAPER}-{number}", scales=PERCENTS, codec_column=None)
    return _plan(table, lambda task: [_trained(codec, "*", row, HYBRID)])


def _crossed() -> Plan:
    """Plan weights of one task on the features of each."""
    table = RateTable(f"{PAPER}-4", None, PERCENTS, "trained on")
    return _plan(table, lambda task: [_trained("hyperprior", own, own, f"{PAPER}/{own}") for own in _TASKS])


def _transform_alone() -> Plan:
    """Plan LaMoFC's networks on transformed features, and DT-UFC's on features that are cut off as LaMoFC's are."""

    def coders(task: str) -> list[Coder]:
        baseline = hyperprior(task, "baseline")
        transformed = replace(baseline, row="baseline, transformed features", as_published=PAPER)
        cut_off = replace(baseline, row="hybrid, baseline's features", settings=LAMBDAS, weights=HYBRID)
        return [baseline, transformed, cut_off]

    table = RateTable(f"{PAPER}-5", None, PERCENTS)
    return _plan(table, coders, "the paper does not print the lambdas of its last five rows; those below are others")


def _convolutional() -> Plan:
    table = RateTable(f"{PAPER}-6", scales=PERCENTS, codec_column=None)
    lambdas = tuple(row[0] for row in paper_table(table.name)["rows"] if row[0] is not None)
    coder = replace(_trained("hyperprior", "*", "Hyperprior", HYBRID), settings=lambdas)
    return Plan(paper_table(table.name)["title"], (table.block("", TASKS["cnn"], [coder, KLT]),))


PLANS: dict[str, Callable[[], Plan]] = {
    f"{PAPER}-2": lambda: _hybrid(2, "hyperprior", "Hyperprior"),
    f"{PAPER}-3": lambda: _hybrid(3, "elic", "ELIC"),
    f"{PAPER}-4": _crossed,
    f"{PAPER}-5": _transform_alone,
    f"{PAPER}-6": _convolutional,
}
"""Plan by name."""
