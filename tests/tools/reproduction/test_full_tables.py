"""LaMoFCBench's Tables VII to XIII in full: features of small models, codecs that were trained a little, and judges."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.extras import needs
from tests.tools.reproduction.made_inputs import AUDIO, DENSE, MAKERS, MadeInputs, run_printed

pytestmark = [
    needs("compressai"),
    pytest.mark.slow,
    pytest.mark.timeout(3000),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore"),  # of the libraries that make features
]
Lamofc: TypeAlias = Callable[..., Any]
FAMILIES = ("dinov3", "qwen3", "falconmamba", "kimiaudio", "sd35")
BY_TABLE = {
    7: tuple(f"dinov3/{name}" for name in DENSE),
    10: tuple(f"kimiaudio/{name}" for name in AUDIO),
    11: ("sd35/coco@conditions", "sd35/coco@latents"),
}
"""Sets of a table whose performances are measured apart and given as tables."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeInputs:
    """Features of all five families, and networks that were trained on all of them together."""
    inputs = MadeInputs(tmp_path_factory.mktemp("made"))
    for make in MAKERS.values():
        make(inputs)
    inputs.train([f"{family}/calibration" for family in FAMILIES])
    return inputs


@pytest.mark.parametrize("table", [*MAKERS, 12])
def test_every_cell_of_a_table_is_filled(table: int, made: MadeInputs, lamofc: Lamofc, tmp_path: Path) -> None:
    command = ("reproduce", f"lamofcbench-{table}", *made.options())
    if table in BY_TABLE:
        missing = _document(lamofc(*command, "--json"))["missing"]
        assert {one["kind"] for one in missing} == {"performance"}
        commands = dict.fromkeys(one["command"] for one in missing if table != 11)  # a small painter is no float16
        for path, printed in zip(BY_TABLE[table], commands, strict=False):
            coded = sorted((made.folder / "results/coded" / path.partition("@")[0]).glob("klt-20-*"))[-1]
            run_printed(printed, STORE=coded, FILES=tmp_path / path.replace("/", "-"))
        for path in BY_TABLE[table]:
            made.judge_by_table(path)
    document = _document(lamofc(*command, "--json", "--png", tmp_path / "curves.png"))
    assert document["missing"] == [] and document["measured"] == document["parts"]
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    for block in document["blocks"]:
        coders = [row["labels"][0] for row in block["rows"]]
        assert {"Original", "Hyperprior", "ELIC", "klt", "klt: Correlation"} <= set(coders)
        for row in block["rows"]:
            numbers = {name: value for name, value in row["numbers"].items() if value is not None}
            assert all(map(math.isfinite, numbers.values())), row
            if ":" not in row["labels"][0] and row["labels"][0] != "Original":
                assert len(numbers) == len(row["numbers"]), row
        rates = [row["numbers"]["EBPFP"] for row in block["rows"] if row["labels"][0] == "klt"]
        errors = [row["numbers"]["MSE"] for row in block["rows"] if row["labels"][0] == "klt"]
        assert rates[0] == min(rates) and errors == sorted(errors, reverse=True)
    if table == 11:  # two sets in one folder, judged apart
        conditions, latents = (
            [row["numbers"].get(block["figures"][1]) for row in block["rows"]] for block in document["blocks"]
        )
        assert conditions != latents


def test_memory_of_every_coder_is_measured(made: MadeInputs, lamofc: Lamofc) -> None:
    document = _document(lamofc("reproduce", "lamofcbench-13", *made.options(), "--json"))
    (block,) = document["blocks"]
    assert document["missing"] == document["failed"] == []
    assert document["measured"] == document["parts"] == 3 * len(block["rows"])
    on_host = [heading for heading in block["figures"] if heading.endswith(", host")]
    assert len(on_host) == 6
    for heading in on_host:
        peaks = [row["numbers"][heading] for row in block["rows"]]  # megabytes; most planes of small models take none
        assert all(0 <= peak < 10_000 for peak in peaks) and max(peaks) > 1, heading


@pytest.mark.parametrize("name", ["2", "3", "4", "5", "6", "figure-2"])
def test_redundancy_and_distributions_are_measured(name: str, made: MadeInputs, lamofc: Lamofc) -> None:
    document = _document(lamofc("reproduce", f"lamofcbench-{name}", *made.options(), "--json"))
    assert document["missing"] == document["failed"] == [] and document["measured"] == document["parts"] > 0


def _document(ran: Any) -> Any:
    assert ran.code == 0, ran.err
    return ran.document
