"""Former names still work, and say by a warning what they are called now."""

import importlib
import runpy
import sys
import warnings
from typing import Any

import pytest

from lamofc_tools.deprecated_names import former_method, former_names

pytest.importorskip("transformers")
from lamofc_tools import comparison, models


@pytest.mark.parametrize(
    ("module", "former"), [(module, former) for module in (models, comparison) for former in module.FORMER_NAMES]
)
def test_a_former_name_warns_and_gives_the_same(module: Any, former: str) -> None:
    name = module.FORMER_NAMES[former]
    assert name in module.__all__ and former not in module.__all__
    wanted = rf"{module.__name__}.{former} is removed in .* use {name}$"
    with pytest.warns(DeprecationWarning, match=wanted) as told:
        found = getattr(module, former)
    assert found is getattr(module, name)
    assert told[0].filename == __file__


def test_a_name_that_never_was_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        former_names("lamofc_tools.models", {})("nothing")


def test_a_former_method_warns_and_does_the_same() -> None:
    class Adder:
        def add(self, one: int, *, other: int) -> int:
            return one + other

        plus = former_method("Adder.plus", add)

    with pytest.warns(DeprecationWarning, match=r"Adder\.plus is removed in .* use add") as told:
        assert Adder().plus(1, other=2) == 3
    assert told[0].filename == __file__


def test_the_former_methods_of_a_diffusion_source_are_the_present_ones() -> None:
    for former, name in (("paint", "decode_latents"), ("conditioned", "substitute_conditioning")):
        assert getattr(models.DiffusionSource, former).__wrapped__ is getattr(models.DiffusionSource, name)


def test_the_former_module_of_replay_warns_and_gives_the_same() -> None:
    sys.modules.pop("lamofc_tools.replay", None)
    with pytest.warns(DeprecationWarning, match=r"use replay and substitute_features of lamofc_tools\.models"):
        former = importlib.import_module("lamofc_tools.replay")
    assert former.replay is models.replay
    assert former.replaying is models.substitute_features


def test_the_former_module_of_the_papers_tables_warns_and_gives_the_same() -> None:
    sys.modules.pop("lamofc_tools.paper_tables", None)
    with pytest.warns(DeprecationWarning, match=r"use paper_table of lamofc_tools\.comparison"):
        former = importlib.import_module("lamofc_tools.paper_tables")
    assert former.paper_table is comparison.paper_table


@pytest.mark.parametrize(
    ("former", "module"),
    [
        ("lamofc_tools.make_tables", "lamofc_tools.generate.make_tables"),
        ("lamofc_tools.bench_catalog", "lamofc_tools.benchmarks.store.catalog"),
    ],
)
def test_the_former_name_of_a_program_warns_and_runs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], former: str, module: str
) -> None:
    monkeypatch.setattr(sys, "argv", [former, "--help"])
    monkeypatch.delitem(sys.modules, module, raising=False)  # a program is not imported before it is run
    with (
        pytest.warns(DeprecationWarning, match=f"{former} is removed in .* use python -m {module}$"),
        pytest.raises(SystemExit) as ended,
    ):
        runpy.run_module(former, run_name="__main__")
    assert ended.value.code == 0
    assert "usage: " in capsys.readouterr().out


def test_present_names_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(getattr(models, name) is not None for name in models.__all__)
