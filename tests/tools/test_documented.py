"""The pages tell what is there: options and their meaning against the program, the README's tour by running it."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import typer

from lamofc_tools.cli import app
from lamofc_tools.demo import Settings

ROOT = Path(__file__).parents[2]
Lamofc: TypeAlias = Callable[..., Any]
EVERYWHERE = {"--json", "--progress", "--debug", "--help", "--storage-option", "--as-of"}
"""Options that tools/README.md tells of once."""


def commands() -> Iterator[tuple[str, Any]]:
    def walk(command: Any, words: str) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield words, command
        for name, found in (inner or {}).items():
            yield from walk(found, f"{words} {name}".strip())

    return walk(typer.main.get_command(app), "")


COMMANDS = dict(commands())


def section(page: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"tools/README.md has no section {heading!r}"
    return found[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_told_as_the_program_tells_them(name: str) -> None:
    text = section((ROOT / "tools/README.md").read_text(), f"lamofc {name}")
    told = {row[1]: row[2] for row in re.finditer(r"^\| (`-.*?`) \| (.*) \|$", text, re.MULTILINE)}
    offered = {}
    for parameter in COMMANDS[name].params:
        if parameter.opts[0].startswith("-") and not EVERYWHERE & set(parameter.opts):
            offered[", ".join(f"`{option}`" for option in parameter.opts)] = parameter.help
    assert set(told) == set(offered)
    assert all(told[option].startswith(meaning) for option, meaning in offered.items())


@pytest.mark.parametrize("name", set(COMMANDS) - {"demo"})
def test_every_command_has_an_example(name: str) -> None:
    text = section((ROOT / "tools/README.md").read_text(), f"lamofc {name}")
    assert re.search(rf"^\$ lamofc {re.escape(name)}\b", text, re.MULTILINE)
    assert "error:" not in text


@pytest.mark.parametrize("option", sorted(EVERYWHERE - {"--help"}))
def test_common_options_are_told_once(option: str) -> None:
    assert option in section((ROOT / "tools/README.md").read_text(), "The command line")


def test_readme_tour_runs(lamofc: Lamofc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every line of the README that is typed at a prompt, in order, in an empty folder; the demo shortened."""
    pytest.importorskip("sklearn")
    codings = (("raw", None), ("uniform", 5.0))
    monkeypatch.setattr("lamofc_tools.demo.Settings", lambda epochs: Settings(epochs=1, count=200, codings=codings))
    monkeypatch.chdir(tmp_path)
    typed = re.findall(r"^\$ lamofc (.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(typed) > 8
    for line in typed:
        ran = lamofc(*shlex.split(line))
        assert ran.code == 0, f"lamofc {line}: {ran.err}"
