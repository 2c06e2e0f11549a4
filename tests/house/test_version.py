"""The version stands in pyproject.toml alone, and the changelog knows it."""

import ast
import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import lamofc_store


@pytest.fixture(scope="module")
def declared(root: Path) -> str:
    return str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])


def test_changelog_has_the_version(root: Path, declared: str) -> None:
    headings = re.findall(r"^## \[([^\]]+)\]", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert declared in headings


def test_package_tells_the_version(declared: str) -> None:
    try:
        installed = version("lamofc-store")
    except PackageNotFoundError:
        installed = "0+unknown"
    assert lamofc_store.__version__ == installed
    assert installed in (declared, "0+unknown")


def test_no_second_place_states_it(trees: dict[str, ast.Module], declared: str) -> None:
    stated = [
        path
        for path, tree in trees.items()
        if not path.startswith("tests/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value == declared
    ]
    assert not stated
