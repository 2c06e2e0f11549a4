"""Spread the work on many records over the cores, by one pool of threads in each process."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import torch

from lamofc_codecs.runtime.single_thread import single_threaded, stay_single_threaded

Job = TypeVar("Job")
Result = TypeVar("Result")

MIN_DECODED, MIN_ENCODED = 1 << 17, 1 << 13
"""Mean elements of a record from which threads share a batch: the calls of smaller ones would wait for each other.

Encoding takes ten times as much work for an element as decoding.
"""
_MIN_ELEMENTS_FOR_TORCH = 1 << 20
"""Elements of a single record from which torch's own threads share its work."""

_POOLS: dict[int, ThreadPoolExecutor] = {}
"""The pool of each process, by its id: threads do not survive a fork, so a child makes a pool of its own."""


def each(work: Callable[[Job], Result], jobs: Sequence[Job], elements: int, least: int = MIN_DECODED) -> list[Result]:
    """Do all jobs and return their results in order; the error of the first job that fails is raised.

    `elements` is the size of all jobs together, and threads share jobs of `least` elements or more, on average. The
    calling thread works as well, so that a busy pool delays no call, and all jobs have ended when this returns, even if
    one of them failed.
    """
    if len(jobs) == 1 and elements >= _MIN_ELEMENTS_FOR_TORCH:
        return [work(jobs[0])]
    shared = elements >= least * len(jobs)
    workers = min(len(jobs), _cores(), torch.get_num_threads()) if shared else 1
    with single_threaded():
        return _share(work, jobs, workers - 1) if workers > 1 else [work(job) for job in jobs]


def _share(work: Callable[[Job], Result], jobs: Sequence[Job], helpers: int) -> list[Result]:
    """Do the jobs on the calling thread and on threads of the pool."""
    pending = deque(enumerate(jobs))
    results: dict[int, Result] = {}
    errors: dict[int, Exception] = {}

    def run() -> None:
        while not errors:
            try:
                number, job = pending.popleft()
            except IndexError:
                return
            try:
                results[number] = work(job)
            except Exception as error:
                errors[number] = error

    pool = _pool()
    futures = [pool.submit(run) for _ in range(helpers)]
    try:
        run()
    finally:
        pending.clear()
        running = [future for future in futures if not future.cancel()]
        wait(running)
    for future in running:
        future.result()
    if errors:
        raise errors[min(errors)]
    return [results[number] for number in range(len(jobs))]


def _pool() -> ThreadPoolExecutor:
    """Return the pool of this process, without a lock: a child forked while it is held would wait for ever."""
    pool = _POOLS.get(os.getpid())
    if pool is None:
        made = ThreadPoolExecutor(max(1, _cores() - 1), "lamofc-codecs", initializer=stay_single_threaded)
        pool = _POOLS.setdefault(os.getpid(), made)
    return pool


def _cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
