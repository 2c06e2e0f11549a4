"""Messages through a pipe: values as they were, an end that is noticed, and no waiting beyond a deadline."""

import multiprocessing
import os
import time
from multiprocessing.connection import Connection

import numpy as np
import pytest
import torch

from lamofc_store.loading import message_pipe
from lamofc_store.loading.message_pipe import Receiver


@pytest.fixture
def pipe() -> tuple[Receiver, Connection]:
    reading, writing = multiprocessing.Pipe(duplex=False)
    return Receiver(reading), writing


def test_arrays_and_tensors_arrive_as_they_were(pipe: tuple[Receiver, Connection]) -> None:
    receiver, writing = pipe
    tensors = [
        torch.arange(6).reshape(2, 3),
        torch.arange(6).reshape(2, 3).T,
        torch.tensor(1.5),
        torch.zeros(0, 3),
        torch.ones(3, dtype=torch.bfloat16),
        torch.ones(3, dtype=torch.complex64),
        torch.ones(3, requires_grad=True),
    ]
    arrays = [np.arange(5), np.zeros((0, 2), np.float32), np.arange(12).reshape(3, 4)[:, ::2]]
    message_pipe.write(writing, message_pipe.encode((tensors, arrays, "text", None)))
    received, others, text, none = receiver.receive(5)
    for tensor, sent in zip(received, tensors, strict=True):
        assert (tensor.dtype, tensor.requires_grad) == (sent.dtype, sent.requires_grad)
        assert torch.equal(tensor.detach(), sent.detach())
    received[0][0, 0] = 7  # what arrives may be written to
    assert all(np.array_equal(array, sent) for array, sent in zip(others, arrays, strict=True))
    assert (text, none) == ("text", None)


def test_arrays_are_not_copied_into_the_pickle() -> None:
    array = np.zeros(1 << 20, np.uint8)
    lengths, pickled, data = message_pipe.encode({"array": array})
    assert len(pickled) < 1000 and len(lengths) == 24
    array[3] = 5
    assert data[3] == 5


def test_a_writer_that_is_gone_ends_the_reading_even_within_a_message(pipe: tuple[Receiver, Connection]) -> None:
    receiver, writing = pipe
    parts = message_pipe.encode(np.zeros(10_000, np.uint8))
    message_pipe.write(writing, parts)
    os.write(writing.fileno(), b"".join(map(bytes, parts))[:5000])
    writing.close()
    assert len(receiver.receive(5)) == 10_000
    with pytest.raises(EOFError):
        receiver.receive(5)


def test_no_end_waits_beyond_its_deadline(pipe: tuple[Receiver, Connection]) -> None:
    receiver, writing = pipe
    parts = message_pipe.encode(np.zeros(1 << 20, np.uint8))
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        receiver.receive(0.1)
    with pytest.raises(TimeoutError):
        message_pipe.write(writing, parts, 0.1)  # nobody reads it
    with pytest.raises(TimeoutError):
        receiver.receive(0.1)  # only a part of it was written
    assert time.monotonic() - started < 3
