"""The program of a worker process: fetch the batches that the loader requests, until the loader closes the pipe."""

import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import torch

from lamofc_store.errors import StoreError
from lamofc_store.loading import message_pipe

_PARENT_CHECK_SECONDS = 5.0
"""Seconds between checks that the parent lives, because another child of the parent may hold the pipe open."""
_EXIT_SECONDS = 5.0
"""Seconds that a worker may continue a fetch after the loader has closed the pipe."""

Request = tuple[int, list[int]]
"""A number that the reply repeats, and the indices of a batch."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception of a worker, to be raised where its batch would have been."""

    error: Exception

    @classmethod
    def from_exception(cls, error: Exception) -> "Failure":
        """Make an exception fit to be sent, with the traceback of this process as a note."""
        if isinstance(error, StoreError):
            return cls(error)
        trace = "".join(traceback.format_exception(error))
        try:
            sent = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        except Exception:
            sent = RuntimeError(f"{type(error).__name__}: {error}")
        sent.add_note(f"raised in a worker process:\n{trace}")
        return cls(sent)


def run(
    fetch: Callable[[list[int]], Any], requests: Connection, replies: Connection, inherited: Sequence[Connection]
) -> None:
    """Answer each request with its number and the fetched batch, or a `Failure`.

    One thread reads requests and one writes replies, so that the loader and a worker never wait for each other to make
    room in a pipe. A forked worker gets the loader's ends of pipes as `inherited`: while it held one open, it would
    never see that the loader is gone.
    """
    for connection in inherited:
        connection.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program that started the loader ends its workers
    torch.set_num_threads(1)
    inbox: SimpleQueue[Request | None] = SimpleQueue()
    outbox: SimpleQueue[message_pipe.Parts] = SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests, inbox, os.getppid()), daemon=True).start()
    threading.Thread(target=_write_replies, args=(replies, outbox), daemon=True).start()
    while (request := inbox.get()) is not None:
        number, indices = request
        try:
            reply = message_pipe.encode((number, fetch(indices)))
        except Exception as error:
            reply = message_pipe.encode((number, Failure.from_exception(error)))
        outbox.put(reply)


def _read_requests(requests: Connection, inbox: "SimpleQueue[Request | None]", parent: int) -> None:
    receiver = message_pipe.Receiver(requests)
    try:
        while True:
            while not receiver.wait(_PARENT_CHECK_SECONDS):
                if os.getppid() != parent:
                    raise EOFError
            inbox.put(receiver.receive())
    except (EOFError, OSError):
        inbox.put(None)
        time.sleep(_EXIT_SECONDS)
        os._exit(1)


def _write_replies(replies: Connection, outbox: "SimpleQueue[message_pipe.Parts]") -> None:
    try:
        while True:
            message_pipe.write(replies, outbox.get())
    except OSError:
        return  # the loader has closed its end; `_read_requests` ends this process
