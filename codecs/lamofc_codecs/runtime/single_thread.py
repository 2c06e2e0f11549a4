"""Keep torch's operators on the calling thread, without an effect on any other thread.

Records are spread over the cores already; the threads that torch adds would wait for each other longer than they work.
`torch.set_num_threads` cannot prevent that: beside the calling thread's setting it writes the default of the process,
which every thread reads when it first uses torch. A library that sets it to 1 and back can leave it at 1 for good. The
functions of OpenMP and of MKL that are called here change the calling thread alone.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

SetThreads = Callable[[int], int]


@contextmanager
def single_threaded() -> Iterator[None]:
    """Keep torch's operators on the calling thread until the block ends, which restores the thread's own setting."""
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    set_openmp, set_mkl = _setters()
    set_openmp(1)
    mkl_threads = set_mkl(1)
    try:
        yield
    finally:
        set_openmp(threads)
        set_mkl(mkl_threads)


def stay_single_threaded() -> None:
    """Keep torch's operators on the calling thread for as long as it lives."""
    torch.get_num_threads()  # torch sets up a thread at its first call, which would otherwise undo this
    for set_threads in _setters():
        set_threads(1)


@cache
def _setters() -> tuple[SetThreads, SetThreads]:
    """Return `omp_set_num_threads` and `mkl_set_num_threads_local` of the libraries that torch itself uses.

    A function that does nothing replaces one that a build of torch lacks; operators then keep their threads.
    """
    suffix = "dylib" if sys.platform == "darwin" else "so"
    library = Path(torch.__file__).parent / "lib" / f"libtorch_cpu.{suffix}"
    try:
        loaded = ctypes.CDLL(str(library))
    except OSError:
        return _ignore, _ignore
    names = ("omp_set_num_threads", "MKL_Set_Num_Threads_Local")
    openmp, mkl = (getattr(loaded, name, _ignore) for name in names)
    return openmp, mkl


def _ignore(threads: int) -> int:
    return threads
