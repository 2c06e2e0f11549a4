"""Memory does not grow with what is stored: what a few batches need is enough for gigabytes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "programs" / "flat_memory.py"
SMALL_BATCH, USUAL_BATCH = 4 << 20, 64 << 20


def _measured(folder: Path, codec: str, megabytes: int, batch_bytes: int) -> dict[str, int]:
    command = [sys.executable, str(PROGRAM), str(folder / "s"), codec, str(megabytes), str(batch_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return figures


def test_memory_is_that_of_a_few_batches(tmp_path: Path) -> None:
    """Twenty small batches grow by less than half of what comes after the first five; kept, they would by all of it."""
    figures = _measured(tmp_path, "raw", 80, SMALL_BATCH)
    assert figures["peak"] - figures["warm"] <= 0.5 * figures["more"], figures


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_gigabyte_needs_no_more_memory_than_a_few_batches(tmp_path: Path) -> None:
    figures = _measured(tmp_path, "lloydmax", 1_400, USUAL_BATCH)
    assert figures["peak"] - figures["imports"] <= 1.5 * (figures["warm"] - figures["imports"]), figures


@pytest.mark.scale
@pytest.mark.timeout(7200)
def test_twenty_gigabytes_need_no_more_memory_than_a_few_batches(tmp_path: Path) -> None:
    figures = _measured(tmp_path, "lloydmax", 20_000, USUAL_BATCH)
    print(figures)
    assert figures["peak"] - figures["imports"] <= 1.5 * (figures["warm"] - figures["imports"]), figures
