"""What holds for every command: start-up, help, the sink, errors, interruption."""

import importlib
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

import fsspec
import numpy as np
import pytest
import typer
from fsspec.implementations.memory import MemoryFileSystem

from lamofc_store.errors import Conflict, Hint
from lamofc_tools.cli import app, main
from lamofc_tools.cli.console.errors import TABLE, error_of
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
    wanted = (
        "demo ingest extract fit analyze bench train eval annotate info ls log get export verify forget compact gc sql"
    )
    assert set(COMMANDS) == {*wanted.split(), *(f"codec {verb}" for verb in ("list", "show", "train", "import"))}


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


@pytest.mark.parametrize(
    "arguments",
    [
        ("inge",),
        ("codec", "nothing"),
        ("info",),
        ("info", "a", "--nothing"),
        ("ls", "a", "--limit", "many"),
        ("sql", "a", "SELECT 1", "--format", "xml"),
        ("ingest", "a", "b", "--snr", "1", "--mse", "2"),
        ("ingest", ".", "b", "--format", "docx"),
        ("ingest", "a", "b", "--pattern", "layer"),
        ("ingest", "a", "b", "--snr", "nan"),
        ("info", "a", "--storage-option", "anon"),
    ],
)
def test_usage_errors_are_two_lines(lamofc: Lamofc, arguments: tuple[str, ...]) -> None:
    ran = lamofc(*arguments)
    assert (ran.code, ran.out, len(ran.lines())) == (2, "", 2)
    assert ran.lines()[1].startswith("try: ")


@pytest.mark.parametrize(
    ("arguments", "message", "cure"),
    [
        (("ingest", "a", "b", "--snr", "nan"), "--snr nan is not a finite number", "give --snr a finite number"),
        (("ingest", "a", "b", "--mse", "0"), "--mse 0 is not a number above 0", "give --mse a number above 0"),
        (("get", "a", "b", "--bpfp", "inf"), "--bpfp inf is not a finite number", "give --bpfp a finite number"),
        (("info", "a", "--storage-option", "anon"), "'anon' is not of the form", "--storage-option 'anon=true'"),
        (("ingest", "a", "b", "--option", "means"), "'means' is not of the form", "--option 'means=1024'"),
        (("ingest", "a", "b", "--grid", "16x16"), "'16x16' is not of the form", "--grid 'layer.*=1+16x16'"),
    ],
)
def test_a_wrong_value_is_named_with_its_option(
    lamofc: Lamofc, made: Path, arguments: tuple[str, ...], message: str, cure: str
) -> None:
    words = [str(made) if word == "a" and arguments[0] == "get" else word for word in arguments]
    ran = lamofc(*words)
    assert ran.code == 2
    assert message in ran.lines()[0]
    assert cure in ran.lines()[1]


def test_an_option_that_a_file_system_does_not_accept_is_named(lamofc: Lamofc) -> None:
    class Strict(MemoryFileSystem):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

    fsspec.register_implementation("strict", Strict, clobber=True)
    ran = lamofc("info", "strict://x", "--storage-option", "port=1")
    assert (ran.code, len(ran.lines())) == (2, 2)
    assert "does not accept --storage-option port=1" in ran.lines()[0]


def test_usage_error_as_json(lamofc: Lamofc) -> None:
    assert lamofc("info", "--json").document["error"]["exit_code"] == 2


def test_unknown_errors_name_their_type(lamofc: Lamofc, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr("lamofc_store.store.Store.info", breaks)
    ran = lamofc("info", made)
    assert (ran.code, ran.lines()[0]) == (1, "error: ZeroDivisionError: one two")
    assert "--debug" in ran.lines()[1]
    assert "Traceback" in lamofc("info", made, "--debug").err


def test_every_error_of_ours_has_its_code() -> None:
    expected = {
        "NotFound": 3,
        "SourceNotFound": 3,
        "NotAStore": 3,
        "Expired": 3,
        "Conflict": 4,
        "SchemaConflict": 4,
        "CorruptStore": 5,
    }
    expected |= {"CorruptRecord": 5, "BadArgument": 2, "BadQuality": 2, "BadQuery": 2, "UnknownCodec": 2}
    for package in ("lamofc_store", "lamofc_codecs", "lamofc_catalog"):
        module = importlib.import_module(f"{package}.errors")
        kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Exception)]
        assert kinds
        for kind in kinds:
            found = error_of(kind("what is wrong", ""))
            assert (found.message, found.code) == ("what is wrong", expected.get(kind.__name__, 1))
            assert found.cure
            assert error_of(kind("what is wrong", "the cure")).cure == "the cure"


def test_the_table_names_classes_that_exist() -> None:
    for name in TABLE:
        module, _, kind = name.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), kind), BaseException)


def test_cures_name_arguments_as_options() -> None:
    assert error_of(Conflict("'a' differs", Hint("give [overwrite] or [on_error] skip"))).cure == (
        "give --overwrite or --on-error skip"
    )
    assert error_of(Conflict("no features", Hint("correct [features]"))).cure == "correct --feature"


def test_a_cure_that_begins_with_try_is_not_doubled() -> None:
    error = importlib.import_module("lamofc_codecs.errors").BadQuality("snr_db=nan", "try Quality(snr_db=1.0)")
    assert error_of(error).lines()[1] == "try: Quality(snr_db=1.0)"


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (RuntimeError("Found no NVIDIA driver on your system.\nPlease check"), "--device cpu"),
        (RuntimeError("CUDA error: no kernel image is available\nCUDA kernel errors might"), "--device cpu"),
        (AssertionError("Torch not compiled with CUDA enabled"), "--device cpu"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory"), "fewer"),
    ],
)
def test_errors_of_torch_name_their_cure(error: Exception, cure: str) -> None:
    found = error_of(error)
    assert found.code == 1
    assert cure in found.cure
    assert "--debug" not in found.cure
    assert str(error).splitlines()[0] in found.message
    assert all("\n" not in line for line in found.lines())


def test_a_gpu_without_memory_is_named() -> None:
    import torch

    found = error_of(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."))
    assert "--device cpu" in found.cure
    assert "20.00 GiB" in found.message


def test_an_object_store_that_cannot_be_reached_is_named() -> None:
    botocore = pytest.importorskip("botocore.exceptions")
    found = error_of(botocore.EndpointConnectionError(endpoint_url="http://127.0.0.1:1"))
    assert found.code == 1
    assert "http://127.0.0.1:1" in found.message
    assert "--storage-option" in found.cure


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


def test_system_errors_name_the_file() -> None:
    found = error_of(FileNotFoundError(2, "No such file or directory", "a.bin"))
    assert (found.message, found.code) == ("a.bin: No such file or directory", 3)


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
