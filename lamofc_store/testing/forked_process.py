"""Forked children that run a function and send its result back."""

from __future__ import annotations

import os
import pickle
import select
import signal
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class ForkedProcess:
    """A running child, and the pipe for its result."""

    process: int
    pipe: int

    def result(self, seconds: float = TIMEOUT_SECONDS) -> Any:
        """Wait for the function's result; a child that raises, dies or hangs is an AssertionError."""
        with os.fdopen(self.pipe, "rb") as pipe:
            if not select.select([pipe], [], [], seconds)[0]:
                os.kill(self.process, signal.SIGKILL)
                os.waitpid(self.process, 0)
                raise AssertionError(f"fork: the child hung for {seconds} s")
            data = pipe.read()
        status = os.waitpid(self.process, 0)[1]
        if not data:
            raise AssertionError(f"fork: the child died with status {status}")
        succeeded, result = pickle.loads(data)  # noqa: S301 - from our own child
        if not succeeded:
            raise AssertionError(f"fork: the child failed:\n{result}")
        return result


def start_forked(function: Callable[[], Any]) -> ForkedProcess:
    """Fork a child that runs a function."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks beside threads: that is the test
        process = os.fork()
    if process == 0:
        outcome: tuple[bool, Any]
        try:
            outcome = True, function()
        except BaseException:
            outcome = False, traceback.format_exc()
        with os.fdopen(writing, "wb") as out:
            pickle.dump(outcome, out)
        os._exit(0)
    os.close(writing)
    return ForkedProcess(process, reading)


def run_forked(function: Callable[[], Any]) -> Any:
    """Run a function in a forked child and return its result."""
    return start_forked(function).result()
