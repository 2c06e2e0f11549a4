"""What all house rules look at: the tracked files, and their syntax trees."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tracked() -> list[str]:
    """Paths of the tracked files that are there, sorted."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = sorted(path for path in listed.split("\0") if path and (ROOT / path).is_file())
    assert "pyproject.toml" in found
    return found


@pytest.fixture(scope="session")
def trees(tracked: list[str]) -> dict[str, ast.Module]:
    """Every tracked Python file, parsed."""
    return {path: ast.parse((ROOT / path).read_bytes(), path) for path in tracked if path.endswith(".py")}
