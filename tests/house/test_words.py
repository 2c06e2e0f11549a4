"""One word per thing, names that say what a thing is, and no trace of anybody's machine."""

import ast
import re
from pathlib import Path, PurePosixPath

import pytest

NOT_USED = {
    "handler",
    "handlers",
    "manager",
    "managers",
    "processor",
    "processors",
    "helper",
    "helpers",
    "util",
    "utils",
}
NOT_MODULES = {*NOT_USED, "common", "misc", "stuff", "base", "core", "lib"}
PRIVATE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|Users|work|mnt)/[\w.-]+")


def words(name: str) -> set[str]:
    """The words of a snake_case or CamelCase name, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


@pytest.mark.parametrize(
    ("name", "expected"), [("BaseHandler", {"base", "handler"}), ("load_HTTP_utils", {"load", "http", "utils"})]
)
def test_names_are_taken_apart(name: str, expected: set[str]) -> None:
    assert words(name) == expected


def test_classes_and_functions_are_named_for_what_they_are(trees: dict[str, ast.Module]) -> None:
    """Tests are named by sentences, which may speak of a processor."""
    named = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("test_")
        and words(node.name) & NOT_USED
    ]
    assert not named


def test_modules_name_the_thing(tracked: list[str]) -> None:
    paths = [PurePosixPath(path) for path in tracked if path.endswith((".py", ".sql"))]
    assert not [str(path) for path in paths if any(words(part) & NOT_MODULES for part in (*path.parts[:-1], path.stem))]


def test_errors_show_the_value(trees: dict[str, ast.Module]) -> None:
    """A message that interpolates nothing leaves the user to guess; one in ten may have nothing to show."""
    plain, count = [], 0
    for path, tree in trees.items():
        if path.startswith(("tests/", "examples/")):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                count += 1
                if isinstance(node.exc.args[0], ast.Constant):
                    plain.append(f"{path}:{node.lineno}")
    assert count > 20
    assert len(plain) <= count * 0.1, plain


def test_no_private_paths(root: Path, tracked: list[str]) -> None:
    found = []
    for path in tracked:
        try:
            text = (root / path).read_bytes().decode()
        except UnicodeDecodeError:
            continue
        found += [f"{path}: {match.group()}" for match in PRIVATE_PATH.finditer(text)]
    assert not found
