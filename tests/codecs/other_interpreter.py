"""Programs run in a Python of their own, as Triton reads TRITON_INTERPRET when it is imported."""

import os
import subprocess
import sys
from pathlib import Path

_ROOTS = os.pathsep.join(str(Path(__file__).parents[2] / root) for root in ("codecs", "tests/codecs/entropy"))


def run(program: str, **environment: str) -> str:
    """Run a program that may import the codecs and `cubin`; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, "PYTHONPATH": _ROOTS, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
