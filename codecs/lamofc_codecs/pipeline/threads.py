"""Records encoded or decoded by several threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_SMALL = 1 << 17
"""Elements of a record below which threads wait for each other more than they work."""
_LARGE = 1 << 20
"""Elements of a record that torch may share out over all cores."""


def each(work: Callable[[Item], Result], jobs: Sequence[Item], elements: int) -> list[Result]:
    """Do all jobs, a core each where that pays; an error of any of them is raised."""
    threads = torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(len(jobs), cores, threads) if elements >= _SMALL * len(jobs) else 1
    if len(jobs) == 1 and elements >= _LARGE:
        return [work(jobs[0])]
    try:
        # Each job is one core's work: torch's own threads would wait for each other longer than they work.
        if workers < 2:
            torch.set_num_threads(1)
            return [work(job) for job in jobs]
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, jobs))
    finally:
        torch.set_num_threads(threads)  # parts of that setting are not a thread's own
