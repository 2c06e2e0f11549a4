"""The pages tell what is there: options and their meaning against the program, the README's tour by running it."""

import re
import shlex
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import typer

from lamofc_tools.cli import app
from lamofc_tools.demo import Settings
from lamofc_tools.generate.make_console import BLOCK, fill_page

ROOT = Path(__file__).parents[3]
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


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"demo"}))
def test_every_command_has_an_example(name: str) -> None:
    text = section((ROOT / "tools/README.md").read_text(), f"lamofc {name}")
    assert re.search(rf"^\$ lamofc {re.escape(name)}\b", text, re.MULTILINE)
    assert "error:" not in text


@pytest.mark.parametrize("option", sorted(EVERYWHERE - {"--help"}))
def test_common_options_are_told_once(option: str) -> None:
    assert option in section((ROOT / "tools/README.md").read_text(), "The command line")


@pytest.mark.slow
def test_the_tour_runs(lamofc: Lamofc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every line of the tour that is typed at a prompt, in order, in an empty folder; the demo shortened."""
    pytest.importorskip("sklearn")
    codings = (("raw", None), ("uniform", 5.0))
    monkeypatch.setattr(
        "lamofc_tools.demo.Settings",
        lambda epochs, picture: Settings(epochs=1, count=200, head_epochs=0, codings=codings),
    )
    monkeypatch.chdir(tmp_path)
    typed = re.findall(r"^\$ lamofc (.*)$", (ROOT / "tools/TOUR.md").read_text(), re.MULTILINE)
    assert len(typed) > 8
    for line in typed:
        ran = lamofc(*shlex.split(line))
        assert ran.code == 0, f"lamofc {line}: {ran.err}"


def test_console_blocks_show_what_commands_print() -> None:
    """Each command of a page is followed by its output, and by no complaint that it is not there."""
    for page in ("tools/README.md", "tools/TOUR.md"):
        for found in BLOCK.findall((ROOT / page).read_text()):
            lines = found.splitlines()
            assert not any("lamofc: not found" in line or "Traceback" in line for line in lines)
            assert not any(one.startswith("$ ") and other.startswith("$ ") for one, other in pairwise([*lines, "$ "]))


def test_a_block_is_filled_with_what_its_commands_print(tmp_path: Path) -> None:
    page = "<!-- before: echo 7 > seven -->\n```console\n$ cat seven\nold\n$ lamofc codec list | head -n 1\n```\n"
    filled_page = fill_page(page, tmp_path)
    assert "$ cat seven\n7\n" in filled_page
    assert "old" not in filled_page
    assert re.search(r"head -n 1\n\w+", filled_page)
    with pytest.raises(RuntimeError, match="ends with 1"):
        fill_page("```console\n$ false\n```\n", tmp_path)
