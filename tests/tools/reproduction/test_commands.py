"""Commands that a reproduction prints for missing inputs: the program knows each command and all of its options."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from lamofc_store.exporting.scripts import script_named
from lamofc_tools.cli.program import app
from lamofc_tools.reproduction import PLANS, Inputs, plan_of, reproduce
from lamofc_tools.reproduction.parts import CodedPart, Coder, JudgedPart
from lamofc_tools.reproduction.tables.data_sets import DINOV3, QWEN3, after_block

KLT = Coder("klt", "klt", (10.0,), "snr_db")


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    return Inputs(*(tmp_path / name for name in ("features", "weights", "judges", "results")))


def parse(line: str) -> dict[str, Any]:
    """Parse a command line without running it, and return the values of its options."""
    name, *words = shlex.split(line)
    command: Any = typer.main.get_command(app)
    context = command.make_context(name, words)
    while hasattr(command, "resolve_command"):
        words = [*context._protected_args, *context.args]
        name, command, words = command.resolve_command(context, words)
        context = command.make_context(name, words, parent=context)
    return dict(context.params)


def test_a_wrong_option_is_no_command() -> None:
    assert parse("lamofc extract MODEL PICTURES OUT --for dinov3cls")["script"] == "dinov3cls"
    for line in ("lamofc extract MODEL", "lamofc extract MODEL DATA OUT --form x", "lamofc codec trained STORE"):
        with pytest.raises(Exception, match=r"Missing parameter|No such (option|command)"):
            parse(line)


def test_every_printed_command_parses(inputs: Inputs) -> None:
    missing = {one for name in PLANS for one in reproduce(plan_of(name), inputs, lambda *_: None).missing}
    lines = {one.command for one in missing if one.command.startswith("lamofc ")}
    verbs = {" ".join(line.split()[1:2]) for line in lines}
    assert verbs == {"extract", "train", "export", "codec"}
    for line in lines:
        values = parse(line)
        if values.get("script"):
            script_named(values["script"])


def test_pictures_are_cut_as_the_script_of_their_task_does(inputs: Inputs) -> None:
    scripts = {name: parse(features.missing(inputs)[0].command)["script"] for name, features in DINOV3.items()}
    assert scripts == {
        **dict.fromkeys(("imagenet-val", "imagenet-a", "imagenet-r"), "dinov3cls"),
        "ade20k": "dinov3seg",
        "nyudepthv2": "dinov3dep",
    }
    (calibration,) = {features.missing_calibration(inputs)[0] for features in DINOV3.values()}
    assert parse(calibration.command)["layer"] == [10, 20, 30, 40]


def test_performances_that_a_script_measures_begin_with_an_export(inputs: Inputs) -> None:
    part = JudgedPart(CodedPart(QWEN3["gsm8k"], KLT, 10.0))
    folder = inputs.judges / "qwen3"
    (judge,) = [one for one in part.missing(inputs) if one.kind == "performance"]
    assert judge.name == str(folder / "gsm8k")
    assert parse(judge.command)["script"] == "qwen3"
    folder.mkdir(parents=True)
    (folder / "gsm8k.csv").write_text("codec,setting,origin,performance\nklt,5,,0.25\n")
    (row,) = part.missing(inputs)
    assert (row.name, row.command) == (f"{folder / 'gsm8k.csv'}: klt,10,", judge.command)
    sets = {name: after_block(own, 9) if name.startswith("imagenet") else own for name, own in DINOV3.items()}
    judges = {name: JudgedPart(CodedPart(own, KLT, 10.0)).missing(inputs)[-1] for name, own in sets.items()}
    assert judges["ade20k"].command == "lamofc export STORE FILES --for dinov3seg"
    assert judges["nyudepthv2"].command == "lamofc export STORE FILES --for dinov3dep"
    head = f"{inputs.judges}/dinov3/imagenet-a@layer.9"
    assert judges["imagenet-a"].name == head
    trained = "lamofc train linear TRAINING_STORE --feature layer.9 --target label"
    assert judges["imagenet-a"].command == f"{trained} -o {head}.safetensors"
