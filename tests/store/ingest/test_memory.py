"""Memory does not grow with what is taken in: what three batches need is enough for gigabytes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "programs" / "flat_memory.py"


def _measured(folder: Path, megabytes: int) -> dict[str, int]:
    command = [sys.executable, str(PROGRAM), str(folder / "s"), str(megabytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def _grew_little(found: dict[str, int]) -> bool:
    """The whole run took, over the imports, at most 1.5 times what three batches took."""
    return found["peak"] - found["imports"] <= 1.5 * (found["warm"] - found["imports"])


@pytest.mark.timeout(600)
def test_a_gigabyte_needs_no_more_memory_than_three_batches(tmp_path: Path) -> None:
    found = _measured(tmp_path, 1_000)
    assert _grew_little(found), found


@pytest.mark.scale
@pytest.mark.timeout(7200)
def test_twenty_gigabytes_need_no_more_memory_than_three_batches(tmp_path: Path) -> None:
    found = _measured(tmp_path, 20_000)
    print(found)
    assert _grew_little(found), found
