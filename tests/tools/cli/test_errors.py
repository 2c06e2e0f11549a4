"""Errors of the command line: two lines, an exit code, and a cure that can be typed."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from lamofc_store.errors import Conflict, Hint
from lamofc_tools.cli.console.errors import TABLE, error_of

Lamofc: TypeAlias = Callable[..., Any]


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
        def __init__(self, use_listings_cache: bool = False) -> None:
            super().__init__(use_listings_cache=use_listings_cache)

    fsspec.register_implementation("strict", Strict, clobber=True)
    ran = lamofc("info", "strict://x", "--storage-option", "port=1")
    assert (ran.code, len(ran.lines())) == (2, 2)
    assert "takes no storage option 'port'" in ran.lines()[0]
    assert "--storage-option," in ran.lines()[1]  # not the name of the argument, storage_options


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
        classes = [
            error_class
            for error_class in vars(module).values()
            if isinstance(error_class, type) and issubclass(error_class, Exception)
        ]
        assert classes
        for error_class in classes:
            cli_error = error_of(error_class("what is wrong", ""))
            assert (cli_error.message, cli_error.code) == ("what is wrong", expected.get(error_class.__name__, 1))
            assert cli_error.hint
            assert error_of(error_class("what is wrong", "the hint")).hint == "the hint"


def test_the_table_names_classes_that_exist() -> None:
    for name in TABLE:
        module, _, error_class = name.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), error_class), BaseException)


def test_hints_name_arguments_as_options() -> None:
    assert error_of(Conflict("'a' differs", Hint("give [overwrite] or [on_error] skip"))).hint == (
        "give --overwrite or --on-error skip"
    )
    assert error_of(Conflict("no features", Hint("correct [features]"))).hint == "correct --feature"


def test_a_hint_that_begins_with_try_is_not_doubled() -> None:
    error = importlib.import_module("lamofc_codecs.errors").BadQuality("snr_db=nan", "try Quality(snr_db=1.0)")
    assert error_of(error).lines()[1] == "try: Quality(snr_db=1.0)"


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (RuntimeError("Found no NVIDIA driver on your system.\nPlease check"), "--device cpu"),
        (RuntimeError("CUDA error: no kernel image is available\nCUDA kernel errors might"), "--device cpu"),
        (AssertionError("Torch not compiled with CUDA enabled"), "--device cpu"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory"), "fewer"),
    ],
)
def test_errors_of_torch_have_a_hint(error: Exception, hint: str) -> None:
    cli_error = error_of(error)
    assert cli_error.code == 1
    assert hint in cli_error.hint
    assert "--debug" not in cli_error.hint
    assert str(error).splitlines()[0] in cli_error.message
    assert all("\n" not in line for line in cli_error.lines())


def test_a_gpu_without_memory_is_named() -> None:
    import torch

    cli_error = error_of(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."))
    assert "--device cpu" in cli_error.hint
    assert "20.00 GiB" in cli_error.message


def test_an_object_store_that_cannot_be_reached_is_named() -> None:
    botocore = pytest.importorskip("botocore.exceptions")
    cli_error = error_of(botocore.EndpointConnectionError(endpoint_url="http://127.0.0.1:1"))
    assert cli_error.code == 1
    assert "http://127.0.0.1:1" in cli_error.message
    assert "--storage-option" in cli_error.hint


def test_system_errors_name_the_file() -> None:
    cli_error = error_of(FileNotFoundError(2, "No such file or directory", "a.bin"))
    assert (cli_error.message, cli_error.code) == ("a.bin: No such file or directory", 3)
