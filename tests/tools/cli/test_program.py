"""What holds for every command: start-up, help, the sink, errors, interruption."""

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import typer

from lamofc_tools.cli import app, main
from lamofc_tools.cli.console.output import Amount, table
from lamofc_tools.cli.render.text import size

ROOT = Path(__file__).parents[3]
ROOTS = os.pathsep.join(str(ROOT / folder) for folder in (".", "codecs", "catalog", "tools"))
Lamofc: TypeAlias = Callable[..., Any]
BODY_LINES = 15


def fresh(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": ROOTS, **variables}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


def commands() -> Iterator[tuple[str, Any]]:
    def walk(command: Any, words: str) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield words, command
        for name, found in (inner or {}).items():
            yield from walk(found, f"{words} {name}".strip())

    return walk(typer.main.get_command(app), "")


COMMANDS = dict(commands())


def test_all_commands_are_there() -> None:
    wanted = "demo ingest extract fit analyze bench train annotate info ls log get export verify forget compact gc sql"
    papers = ("correlate", "reproduce")
    evaluations = ("eval head", "eval model")
    codecs = (f"codec {verb}" for verb in ("list", "show", "train", "import", "export"))
    assert set(COMMANDS) == {*wanted.split(), *papers, *evaluations, *codecs}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_speaks_json_and_has_help(lamofc: Lamofc, name: str) -> None:
    options = {option: parameter for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {"--json", "--debug", "--progress"} <= set(options)
    assert all(parameter.help for parameter in options.values())
    shown = lamofc(*name.split(), "--help")
    assert (shown.code, shown.err) == (0, "")
    assert COMMANDS[name].help.splitlines()[0] in shown.out


@pytest.mark.parametrize("name", COMMANDS)
def test_command_bodies_are_short(name: str) -> None:
    callback = inspect.unwrap(COMMANDS[name].callback)
    source = inspect.getsource(callback)
    body = source.split('"""')[2]
    assert len(body.strip().splitlines()) <= BODY_LINES


@pytest.mark.parametrize("arguments", [["ls"], ["log"], ["info"], ["sql", "SELECT 1"]])
def test_catalog_commands_load_no_torch(made: Path, arguments: list[str]) -> None:
    line = [arguments[0], str(made), *arguments[1:]]
    code = f"import sys; from lamofc_tools.cli import main; assert main({line!r}) == 0"
    ran = fresh(f"{code}; print(*sys.modules, file=sys.stderr)")
    loaded = set(ran.stderr.split())
    assert "duckdb" in loaded
    assert not loaded & {"torch", "zarr", "numba", "rich", "sklearn", "lamofc_codecs"}


def test_help_loads_next_to_nothing() -> None:
    ran = fresh("import sys; from lamofc_tools.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)")
    assert "ingest" in ran.stdout
    assert not set(ran.stderr.split()) & {"torch", "duckdb", "pyarrow", "numpy", "zarr", "rich"}


def test_version_and_bare_call(lamofc: Lamofc) -> None:
    assert lamofc("--version").out.startswith("lamofc ")
    bare = lamofc()
    assert (bare.code, bare.err) == (0, "")
    assert "Commands" in bare.out


def test_the_shell_gets_completions() -> None:
    """The script of the shell calls the program with these variables; nothing heavy is loaded for an answer."""
    variables = {
        "_LAMOFC_COMPLETE": "complete_bash",
        "COMP_WORDS": "lamofc ing",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_TESTING": "",
    }
    ran = fresh("import sys; from lamofc_tools.cli import main; sys.exit(main([]))", **variables)
    assert (ran.returncode, ran.stdout.split(), ran.stderr) == (0, ["ingest"], "")


def test_the_completion_script_is_shown() -> None:
    code = "import sys; from lamofc_tools.cli import main; sys.exit(main(['--show-completion', 'bash']))"
    ran = fresh(code, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert ran.returncode == 0, ran.stderr
    assert "_LAMOFC_COMPLETE=complete_bash" in ran.stdout


def test_closed_pipe_is_silent(made: Path) -> None:
    code = (
        f"import sys; from lamofc_tools.cli import main; sys.exit(main(['sql', {str(made)!r}, 'FROM range(300000)']))"
    )
    env = {**os.environ, "PYTHONPATH": ROOTS}
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"{sys.executable}" -c "$CODE" | head -1'],
        env={**env, "CODE": code},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", "range\n")


def test_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C while records are being written: 130, two lines, no unfinished file, and a store that completes."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(40):
        np.save(source / f"{number}.npy", np.random.default_rng(number).normal(size=(4096, 256)).astype(np.float32))
    place = tmp_path / "s.lamofc"
    words = ["ingest", str(source), str(place), "--fit-samples", "8"]
    code = f"import sys; from lamofc_tools.cli import main; sys.exit(main({words!r}))"
    env = {**os.environ, "PYTHONPATH": ROOTS}
    heeds = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731 - tests in the background ignore it
    running = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=-1, stderr=-1, text=True, preexec_fn=heeds)
    while not list(place.glob("tmp/**/*.0")) and running.poll() is None:
        time.sleep(0.005)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert (running.returncode, out) == (130, "")
    assert err.splitlines()[0] == "error: interrupted"
    assert len(err.splitlines()) == 2
    assert {path.name for path in place.glob("tmp/**/*")} <= {"turn"}
    assert main(["verify", str(place)]) == 0


def test_no_colour_in_a_pipe_or_under_no_color(made: Path) -> None:
    for variables in ({}, {"NO_COLOR": "1"}, {"FORCE_COLOR": ""}):
        ran = fresh(f"from lamofc_tools.cli import main; main(['info', {str(made)!r}]); main(['info'])", **variables)
        assert "\x1b" not in ran.stdout + ran.stderr


def test_tables_keep_numbers_right_and_text_left() -> None:
    lines = list(table(("name", "count", "size"), [("a", 1, Amount("5 kB")), ("bcdef", 22, Amount("12 kB"))]))
    assert lines == ["name   count   size", "a          1   5 kB", "bcdef     22  12 kB"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_949, "99.9 kB"), (999_999, "1.0 MB"), (5e12, "5.0 TB")],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


def test_json_of_rows_is_one_document(lamofc: Lamofc, made: Path) -> None:
    assert len(json.loads(lamofc("sql", made, "FROM range(2500)", "--json").out)) == 2500
