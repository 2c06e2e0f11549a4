"""Messages between processes through a pipe. Large arrays travel beside the pickle, so that nothing is copied twice.

A reader learns at once that the writer has died, even in the middle of a message, and never waits beyond a deadline.
Shared memory is no faster here, and containers often limit it to 64 MB.
"""

import io
import os
import pickle
import select
import struct
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeGuard

import numpy as np
import torch

_COUNT = struct.Struct("<Q")
_WITH_NUMPY_DTYPE = {
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.float32,
    torch.float64,
}

Parts = Sequence[memoryview]


class _Pickler(pickle.Pickler):
    """Pickle tensors as NumPy arrays, whose memory protocol 5 leaves out of the pickle."""

    def reducer_override(self, value: object) -> Any:
        return (torch.from_numpy, (value.numpy(),)) if _has_numpy_view(value) else NotImplemented


def _has_numpy_view(value: object) -> TypeGuard[torch.Tensor]:
    if type(value) is not torch.Tensor or value.device.type != "cpu" or value.requires_grad:
        return False
    return value.is_contiguous() and value.dtype in _WITH_NUMPY_DTYPE


def encode(value: object) -> Parts:
    """Encode a value as the parts of a message, which share the memory of its arrays."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, 5, buffer_callback=buffers.append).dump(value)
    content = [stream.getbuffer(), *(buffer.raw() for buffer in buffers)]
    lengths = b"".join(map(_COUNT.pack, [len(content), *map(len, content)]))
    return [memoryview(lengths), *content]


def write(connection: Connection, parts: Parts, seconds: float | None = None) -> None:
    """Write a message; TimeoutError when the pipe stays full for so long."""
    descriptor = connection.fileno()
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    for part in parts:
        left = part
        while left:
            if seconds is None:
                left = left[os.write(descriptor, left) :]
            elif poll.poll(seconds * 1000):  # there is room for PIPE_BUF bytes; more could wait without end
                left = left[os.write(descriptor, left[: select.PIPE_BUF]) :]
            else:
                raise TimeoutError


class Receiver:
    """The reading end of a pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Wait for a message to begin, or for the writer to be gone."""
        return bool(self._poll.poll(seconds * 1000))

    def receive(self, seconds: float | None = None) -> Any:
        """Read one message. EOFError once the writer is gone, TimeoutError when it takes longer than this."""
        deadline = None if seconds is None else time.monotonic() + seconds
        (count,) = _COUNT.unpack(self._read(_COUNT.size, deadline))
        lengths = [length for (length,) in _COUNT.iter_unpack(self._read(count * _COUNT.size, deadline))]
        pickled, *buffers = [self._read(length, deadline) for length in lengths]
        return pickle.loads(pickled, buffers=buffers)  # noqa: S301 - written by a process of this program

    def close(self) -> None:
        """Close this end of the pipe."""
        self._connection.close()

    def _read(self, length: int, deadline: float | None) -> memoryview:
        data = left = np.empty(length, np.uint8).data
        while left:
            if deadline is not None and not self.wait(max(deadline - time.monotonic(), 0)):
                raise TimeoutError
            count = os.readv(self._connection.fileno(), [left])
            if not count:
                raise EOFError
            left = left[count:]
        return data
