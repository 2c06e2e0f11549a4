"""Plans of LaMoFC: Tables 3 to 6, and Tables 2 to 5 of its supplement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lamofc_codecs import published_settings
from lamofc_tools.comparison import paper_table
from lamofc_tools.reproduction.parts import (
    PERFORMANCE,
    AnalysedPart,
    Block,
    CodedPart,
    Coder,
    Figure,
    JudgedPart,
    Plan,
    Related,
    Row,
)
from lamofc_tools.reproduction.tables.data_sets import TASKS
from lamofc_tools.reproduction.tables.lamofcbench import KLT
from lamofc_tools.reproduction.tables.rate_blocks import DETERMINATION, RateTable

PAPER = "lamofc"
PERCENTS = {"acc": 100.0, "mIoU": 100.0}
STAND_IN = "rows of VTM are those of VVenC, unless VTM's encoder is given"
VTM = Coder("VTM", "vvc", (22, 27, 32, 37, 42), "qp", as_published=PAPER)
FIVE = ("cls", "seg", "dpt", "csr", "tti")
_CROSSED = ("seg", "csr", "tti")
_ALLOWED_QPS = (27, 32, 37)
_NARROW = {"cls": (-5.0, 5.0), "seg": (-5.0, 5.0), "csr": (-2.0, 2.0)}
_WIDE = {"cls": (-30.0, 30.0), "seg": (-30.0, 30.0), "csr": (-10.0, 10.0)}
_NARROW_LAYERS = ((-1.0, 1.0), (-2.0, 2.0), (-5.0, 5.0), (-5.0, 5.0))
_WIDE_LAYERS = ((-1.0, 1.0), (-2.0, 2.0), (-20.0, 20.0), (-30.0, 30.0))
_STATISTICS = {
    "low": "least",
    "high": "most",
    "min": "least",
    "max": "most",
    "mean": "mean",
    "IV": "intensity_variance",
    "GM": "gradient_magnitude",
}
"""Figure of an analysis by the heading of its column."""


def hyperprior(task: str, row: str = "Hyperprior") -> Coder:
    """Return the Hyperprior trained on one task, its lambdas in the order of rising rates."""
    lambdas = published_settings(PAPER).training_of("hyperprior", task).lambdas
    return Coder(row, "hyperprior", lambdas, weights=f"{PAPER}/{task}", as_published=PAPER)


def _falling(coder: Coder) -> Coder:
    """Return a coder with its settings in the reverse order, as the tables of LaMoFC have them."""
    return replace(coder, settings=coder.settings[::-1])


def _coders(task: str) -> tuple[Coder, ...]:
    return VTM, _falling(hyperprior(task)), KLT


def _table(name: str, note: str = STAND_IN) -> Plan:
    table = RateTable(name, DETERMINATION, PERCENTS)
    blocks = tuple(table.block(task, TASKS[task], _coders(task)) for task in FIVE)
    return Plan(paper_table(name)["title"], blocks, note)


def _distortion_and_accuracy() -> Plan:
    """Plan the coefficients of DETERMINATION of errors and accuracies."""
    printed = paper_table(f"{PAPER}-5")
    values = {row[0]: tuple(row[1:]) for row in printed["rows"]}
    rows = []
    for number, name in enumerate((*values, KLT.row)):
        cells = []
        for task in printed["columns"][1:]:
            coder = _coders(task)[number]
            parts = [CodedPart(TASKS[task], coder, setting) for setting in coder.settings]
            judged = tuple(Figure(JudgedPart(part), PERFORMANCE) for part in parts)
            cells.append(Related(DETERMINATION, tuple(Figure(part, "mse") for part in parts), judged))
        rows.append(Row((name,), tuple(cells), values.get(name, ())))
    return Plan(printed["title"], (Block("", ("codec",), tuple(printed["columns"][1:]), tuple(rows)),), STAND_IN)


def _crossed() -> Plan:
    table = RateTable(f"{PAPER}-6", None, PERCENTS, "trained on")
    coders = [_falling(hyperprior(task, task)) for task in ("seg", "tti", "csr")]
    blocks = tuple(table.block(task, TASKS[task], [*coders, KLT]) for task in _CROSSED)
    return Plan(paper_table(table.name)["title"], blocks)


def _statistics(number: str) -> Plan:
    """Plan a table of the ranges and means of tasks; the layers of dpt are counted from 1 there."""
    printed = paper_table(f"{PAPER}-{number}")
    headings, rows = tuple(printed["columns"][1:]), []
    for name, *values in printed["rows"]:
        task, _, layer = name.partition(".")
        feature = f"{task}.{int(layer) - 1}" if layer else task
        part = AnalysedPart(TASKS[task], PAPER)
        cells = tuple(Figure(part, f"{feature} {_STATISTICS.get(heading, heading)}") for heading in headings)
        rows.append(Row((name,), cells, tuple(values)))
    return Plan(printed["title"], (Block("", ("task",), headings, tuple(rows)),))


def _steps() -> Plan:
    """Plan the loss by truncation and by quantisation, each alone and together."""
    regions = {name: (low, high) for name, low, high, *_ in paper_table(f"{PAPER}-4")["rows"]}
    table, blocks = RateTable(f"{PAPER}-s4", None, PERCENTS, "configuration"), []
    for task in ("cls", "seg", "dpt", "csr"):
        layers = tuple(region for name, region in regions.items() if name.startswith("dpt."))
        whole = layers if task == "dpt" else regions[task]
        coders = [replace(VTM, row="Quantization + VTM QP22", settings=(22,), options=_range(whole))]
        if task != "dpt":
            cut = ("truncation", f"vtm.{task}")
            coders += [
                Coder("Truncation Only", "uniform", (16,), "lossless", options=(("bits", 16), cut)),
                Coder("Quantization Only", "uniform", (10,), "lossless", options=(("bits", 10), ("range", whole))),
                Coder("Truncation + Quantization", "uniform", (10,), "lossless", options=(("bits", 10), cut)),
            ]
        blocks.append(table.block(task, TASKS[task], [*coders, KLT]))
    note = f"truncation alone is 16 bits in its range, the setting is their number; {STAND_IN}"
    return Plan(paper_table(table.name)["title"], tuple(blocks), note)


def _regions() -> Plan:
    table, blocks = RateTable(f"{PAPER}-s5", None, PERCENTS, "region"), []
    for task in ("cls", "seg", "dpt", "csr"):
        ranges = {"narrow": _NARROW.get(task, _NARROW_LAYERS), "wide": _WIDE.get(task, _WIDE_LAYERS)}
        coders = [replace(VTM, row=row, settings=_ALLOWED_QPS, options=_range(ends)) for row, ends in ranges.items()]
        blocks.append(table.block(task, TASKS[task], [*coders, KLT]))
    regions = "narrow is 5, of dpt 1, 2, 5 and 5, of csr 2; wide is 30, of dpt 1, 2, 20 and 30, of csr 10"
    return Plan(paper_table(table.name)["title"], tuple(blocks), f"{regions}; {STAND_IN}")


def _range(ends: object) -> tuple[tuple[str, object], ...]:
    return (("range", ends), ("rounding", "floor"))


PLANS: dict[str, Callable[[], Plan]] = {
    f"{PAPER}-3": lambda: _table(f"{PAPER}-3"),
    f"{PAPER}-4": lambda: _statistics("4"),
    f"{PAPER}-5": _distortion_and_accuracy,
    f"{PAPER}-6": _crossed,
    f"{PAPER}-s2": lambda: _table(f"{PAPER}-s2"),
    f"{PAPER}-s3": lambda: _statistics("s3"),
    f"{PAPER}-s4": _steps,
    f"{PAPER}-s5": _regions,
}
"""Plan by name; `s` stands before the tables of the supplement."""
