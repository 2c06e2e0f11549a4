"""The verbs in tools/: executable, without syntax errors, and helpful when asked for what is not there."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

VERBS = ("tools/demo", "tools/test", "tools/check", "tools/bench", "tools/pin", ".ci/run")


@pytest.mark.parametrize("verb", [*VERBS, "tools/setup.sh"])
def test_verbs_are_sound(verb: str, root: Path, tracked: list[str]) -> None:
    assert verb in tracked
    assert os.access(root / verb, os.X_OK) == (verb in VERBS)
    assert subprocess.run(["bash", "-n", root / verb], check=False).returncode == 0


def test_environments_are_made_of_a_folder_a_python_extras_and_pins(root: Path) -> None:
    lines = [line.strip() for verb in (*VERBS, "tools/setup.sh") for line in (root / verb).read_text().splitlines()]
    calls = [shlex.split(line) for line in lines if line.startswith("make_venv ")]
    assert len(calls) >= 5
    assert {len(call) for call in calls} == {5}


def test_an_unknown_benchmark_is_answered_with_the_names(root: Path) -> None:
    asked = subprocess.run([root / "tools/bench", "nothing"], capture_output=True, text=True, check=False)
    assert asked.returncode == 2
    assert asked.stdout == ""
    assert "there is no benchmark 'nothing'" in asked.stderr
    folder = root / "tools/lamofc_tools/benchmarks"
    names = [path.stem for path in folder.glob("*/*.py") if 'if __name__ == "__main__"' in path.read_text()]
    assert len(names) > 10
    assert [line.strip() for line in asked.stderr.splitlines()[2:]] == sorted(names)
