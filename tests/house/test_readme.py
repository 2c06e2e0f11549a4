"""The documentation is checked against what is there: trees, links, code, commands and examples."""

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import pytest
import typer

ROOT = Path(__file__).parents[2]
ROOMS = ("codecs", "catalog", "lamofc_store", "tools")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
LONG_EXAMPLES = {"03_train_a_head.py", "05_many_writers.py"}
EXAMPLE_SECONDS = 60
EXAMPLE_LINES = 60
Command: TypeAlias = Any  # a click command: newer typer carries its own copy of click, so the class has no one name
UNLISTED = {"__init__.py", "__main__.py", "py.typed"}


def fences(page: Path, *languages: str) -> list[str]:
    return [body for language, body in FENCE.findall(page.read_text()) if language in languages]


def tree(text: str) -> dict[str, str]:
    """Paths and their notes from an indented tree; folders end with `/`, several names may share a line.

    Two spaces or more stand before a note. Lines may be drawn with box characters or indented with spaces.
    """
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        plain = re.sub(r"[│├└─]", " ", line)
        indent = len(plain) - len(plain.lstrip())
        names, _, note = plain.strip().partition("  ")
        while above and above[-1][0] >= indent:
            above.pop()
        base = above[-1][1] if above else ""
        for name in names.split():
            found[base + name] = note.strip()
        if names.endswith("/"):
            above.append((indent, base + names.split()[-1]))
    return found


def run(code: list[str], cwd: Path, seconds: int) -> subprocess.CompletedProcess[str]:
    roots = os.pathsep.join(str(ROOT / folder) for folder in (".", "codecs", "catalog", "tools"))
    env = os.environ | {"PYTHONPATH": roots}
    return subprocess.run(
        [sys.executable, *code], cwd=cwd, env=env, capture_output=True, text=True, timeout=seconds, check=False
    )


@pytest.fixture(scope="module")
def commands() -> dict[str, Command]:
    """Every command that can be typed, with its words: `ingest`, `train linear`."""
    from lamofc_tools.cli import app

    def walk(command: Command, words: str) -> dict[str, Command]:
        groups = getattr(command, "commands", None)
        if groups is None:
            return {words: command}
        found: dict[str, Command] = {}
        for name, inner in groups.items():
            if not inner.hidden:
                found |= walk(inner, f"{words} {name}".strip())
        return found

    return walk(typer.main.get_command(app), "")


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    """The tree of README.md: the first fenced block that draws `lamofc_store/`."""
    blocks = [body for body in fences(ROOT / "README.md", "", "text") if re.search(r"^\W*lamofc_store/", body, re.M)]
    assert blocks, "README.md draws no tree"
    return tree(blocks[0])


def test_trees_are_read() -> None:
    text = "a/          one thing\n├── b.py    another\n└── c/      more\n    └── d e     two\nf.md  last"
    assert tree(text) == {
        "a/": "one thing",
        "a/b.py": "another",
        "a/c/": "more",
        "a/c/d": "two",
        "a/c/e": "two",
        "f.md": "last",
    }


def test_tree_is_what_is_there(drawn: dict[str, str], tracked: list[str]) -> None:
    """All that is drawn exists, and where one file of a folder is drawn, all of them are."""
    there = set(tracked) | {f"{parent}/" for path in tracked for parent in PurePosixPath(path).parents}
    assert not set(drawn) - there
    opened = {str(PurePosixPath(path).parent) for path in drawn}
    expected = {
        path
        for path in there - {"./"}
        if str(PurePosixPath(path).parent) in opened
        and PurePosixPath(path).name not in UNLISTED
        and not PurePosixPath(path).name.startswith(".")
    }
    assert not expected - set(drawn)


def test_tree_says_what_each_is(drawn: dict[str, str]) -> None:
    assert not {path: note for path, note in drawn.items() if not 1 < len(note.split()) < 15}


@pytest.mark.parametrize("page", ["README.md", *(f"{room}/README.md" for room in ROOMS)])
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", (ROOT / page).read_text())
    assert not [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]


def test_readme_code_runs(tmp_path: Path) -> None:
    """The Python blocks of README.md in their order, as one script in an empty folder."""
    blocks = fences(ROOT / "README.md", "python")
    assert blocks
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks))
    ran = run([str(script)], tmp_path, 120)
    assert ran.returncode == 0, ran.stderr


def test_every_command_is_documented(commands: dict[str, Command]) -> None:
    page = (ROOT / "tools/README.md").read_text()
    assert commands
    assert not [name for name in commands if not re.search(rf"\blamofc {re.escape(name)}\b", page)]


@pytest.mark.parametrize("page", ["README.md", "tools/README.md"])
def test_every_documented_command_exists(page: str, commands: dict[str, Command]) -> None:
    """Each `lamofc ...` line of a shell block names a command, and only options which that command has."""
    lines = [line for body in fences(ROOT / page, "bash", "sh", "console", "shell") for line in body.splitlines()]
    typed = [match[1] for line in lines if (match := re.match(r"\s*(?:\$ )?lamofc ([a-z].*)", line))]
    assert typed
    for line in typed:
        name = next((name for name in commands if f"{line} ".startswith(f"{name} ")), None)
        assert name, f"{page}: `lamofc {line}` is no command"
        known = {
            option for parameter in commands[name].params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        used = set(re.findall(r"(?<=\s)--[a-z-]+", re.sub(r"#.*|'[^']*'|\"[^\"]*\"", "", line)))
        assert used <= {*known, "--help"}, f"{page}: `lamofc {line}`"


def test_examples_are_numbered_and_short() -> None:
    assert EXAMPLES
    for position, name in enumerate(EXAMPLES, start=1):
        assert name.startswith(f"{position:02d}_")
        assert len((ROOT / "examples" / name).read_text().splitlines()) <= EXAMPLE_LINES


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG_EXAMPLES else ()) for name in EXAMPLES]
)
def test_examples_run(name: str, tmp_path: Path) -> None:
    ran = run([str(ROOT / "examples" / name)], tmp_path, EXAMPLE_SECONDS)
    assert ran.returncode == 0, ran.stderr
