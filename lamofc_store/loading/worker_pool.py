"""A pool of worker processes that fetch records. A worker that dies or hangs raises `WorkerLost` in the loader."""

import contextlib
import fcntl
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from lamofc_store.errors import BadArgument, Hint, WorkerLost
from lamofc_store.loading import message_pipe
from lamofc_store.loading.dataset import FeatureDataset, FetchedBatch
from lamofc_store.loading.worker_process import Failure, run

Start = Literal["forkserver", "spawn", "fork"]

_GUARD = "code that starts workers belongs in a function that is called under `if __name__ == '__main__':`"
_PIPE_BYTES = 1 << 20
"""Capacity of the pipe for a worker's replies: a smaller reply is written without waiting for the loader."""
_EXIT_SECONDS = 5.0
"""Seconds that a worker gets to end before it is killed."""


@dataclass(frozen=True, slots=True)
class _Worker:
    """A worker process and the loader's ends of its two pipes."""

    process: BaseProcess
    requests: Connection
    replies: message_pipe.Receiver


class WorkerPool:
    """Worker processes, started when they are first needed, that serve one iteration at a time."""

    def __init__(self, dataset: FeatureDataset, count: int, start: Start, *, timeout: float, ahead: int) -> None:
        self._dataset = dataset
        self._count = count
        self._start = start
        self._timeout = timeout
        self._ahead = ahead
        self._workers: list[_Worker] = []
        self._iteration = 0
        self._closed = False
        self._in_use = threading.RLock()  # a signal handler may close the loader within an exchange
        self._process = os.getpid()
        weakref.finalize(self, _end, self._workers, self._process)

    def fetch(self, batches: Iterable[list[int]]) -> Iterator[FetchedBatch]:
        """Fetch batches in their order, with `ahead` requests to each worker in advance."""
        if self._process != os.getpid():
            raise BadArgument(
                "a loader whose workers run was inherited by a forked process", "make a loader in each process"
            )
        with self._in_use:
            self._iteration += 1
            while len(self._workers) < self._count:
                self._workers.append(self._started())
            return self._fetched(iter(batches), self._workers[:], self._iteration)

    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def close(self) -> None:
        """End the workers for good; an iteration that goes on afterwards is an error.

        Another thread may first complete its exchange with a worker, unless the worker hangs.
        """
        self._closed = True
        if self._process == os.getpid():
            if not self._in_use.acquire(timeout=_EXIT_SECONDS):
                self._kill()  # which ends the exchange
                self._in_use.acquire()
            self._in_use.release()
        _end(self._workers, self._process)

    def _fetched(self, batches: Iterator[list[int]], workers: list[_Worker], iteration: int) -> Iterator[FetchedBatch]:
        pending: deque[_Worker] = deque()
        turns = itertools.chain.from_iterable(itertools.repeat(workers, self._ahead))
        for worker, indices in zip(turns, batches, strict=False):
            self._request(worker, indices, iteration)
            pending.append(worker)
        while pending:
            worker = pending.popleft()
            batch = self._receive(worker, iteration)
            for indices in itertools.islice(batches, 1):
                self._request(worker, indices, iteration)
                pending.append(worker)
            yield batch

    def _request(self, worker: _Worker, indices: list[int], iteration: int) -> None:
        with self._exclusive(worker, iteration):
            message_pipe.write(worker.requests, message_pipe.encode((iteration, indices)), self._timeout)

    def _receive(self, worker: _Worker, iteration: int) -> FetchedBatch:
        """Read the next batch from a worker, past replies to an iteration that was broken off."""
        with self._exclusive(worker, iteration):
            number = None
            while number != iteration:
                number, reply = worker.replies.receive(self._timeout)
        if isinstance(reply, Failure):
            raise reply.error
        fetched: FetchedBatch = reply
        return fetched

    @contextlib.contextmanager
    def _exclusive(self, worker: _Worker, iteration: int) -> Iterator[None]:
        """Use a worker's pipes exclusively. Any exception ends the workers; that of a failing pipe is a WorkerLost."""
        with self._in_use:
            self._check_serves(iteration)
            try:
                yield
            except (EOFError, OSError) as error:
                self._check_serves(iteration)
                raise self._lost(worker, error) from error
            except BaseException:  # which may leave part of a message in the pipe
                self._abort()
                raise

    def _check_serves(self, iteration: int) -> None:
        """Raise BadArgument unless the workers serve this iteration."""
        if self._closed:
            raise BadArgument(
                "the loader was closed within this iteration",
                "close it after the last batch, or resume from state_dict() in a new iteration",
            )
        if iteration != self._iteration:
            raise BadArgument(
                "the loader's workers serve another iteration that began later",
                "finish one iteration before the next, or make a FeatureLoader for each",
            )

    def _lost(self, worker: _Worker, error: Exception) -> WorkerLost:
        if isinstance(error, TimeoutError):
            event = f"gave nothing for {self._timeout:g} s"
        else:
            worker.process.join(_EXIT_SECONDS)
            event = f"is gone: {_ending(worker.process.exitcode)}"
        self._abort()
        return WorkerLost(
            f"a worker {event}",
            Hint(
                "resume from state_dict(); where memory ran out, give fewer [workers] or prefetch=1; where the worker"
                f" could not start, {_GUARD}"
            ),
        )

    def _abort(self) -> None:
        """End the workers at once; a later iteration starts new ones."""
        self._kill()
        _end(self._workers, self._process)

    def _kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()

    def _started(self) -> _Worker:
        context: Any = multiprocessing.get_context(self._start)
        (their_requests, requests), (replies, their_replies) = context.Pipe(False), context.Pipe(False)
        with contextlib.suppress(AttributeError, OSError):  # not on every system, nor beyond a user's limit
            fcntl.fcntl(their_replies.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        forked = self._start == "fork"
        inherited = [requests, replies, *(worker.requests for worker in self._workers)] if forked else []
        arguments = (self._dataset.fetch_batch, their_requests, their_replies, inherited)
        process = context.Process(target=run, args=arguments, daemon=True)
        try:
            process.start()
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise _unpicklable(self._dataset, error) from error
        except (RuntimeError, AssertionError) as error:
            # A worker that imports an unguarded program may not start processes; nor may any daemonic process.
            raise WorkerLost(f"a worker cannot be started: {error}", f"{_GUARD}; workers=0 starts none") from error
        their_requests.close()
        their_replies.close()  # only the worker holds the writing end now, so that its death ends the reading
        return _Worker(process, requests, message_pipe.Receiver(replies))


def _unpicklable(dataset: FeatureDataset, error: Exception) -> BadArgument:
    target = dataset.target_function
    if target is None:
        return BadArgument(f"the dataset cannot be pickled for a worker: {error}", Hint("give 0 [workers]"))
    return BadArgument(
        f"target={getattr(target, '__qualname__', repr(target))} cannot be pickled for a worker: {error}",
        Hint("give a [target] that is defined at the top level of a module, or 0 [workers]"),
    )


def _ending(code: int | None) -> str:
    if code is None:
        return "it closed its pipe"
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"


def _end(workers: list[_Worker], process: int) -> None:
    """End workers and forget them; in a child that was forked from the loader's process, only forget them."""
    ended = workers[:] if process == os.getpid() else []
    workers.clear()
    for worker in ended:
        worker.requests.close()
        worker.replies.close()
    deadline = time.monotonic() + _EXIT_SECONDS
    for worker in ended:
        worker.process.join(max(deadline - time.monotonic(), 0))
        if worker.process.exitcode is None:
            worker.process.kill()
            worker.process.join()
        worker.process.close()
