"""Torch's operators stay on the calling thread while they are told to, and no longer."""

import subprocess
import sys
import threading

import pytest
import torch

from lamofc_codecs.runtime import single_threaded, stay_single_threaded

# Matrix products are the libraries' own work: one that spread to other threads would cost them processor time.
SHARE_OF_THIS_THREAD = """
import time, torch
from lamofc_codecs.runtime import single_threaded
torch.set_num_threads(4)
left = torch.randn(700, 700)
left @ left
with single_threaded():
    own, all_threads = time.thread_time(), time.process_time()
    for _ in range(3):
        left @ left, left.double() @ left.double(), left.to(torch.float16)
    own, all_threads = time.thread_time() - own, time.process_time() - all_threads
print(own / all_threads)
"""


def threads_within_and_after() -> list[int]:
    with single_threaded():
        within = torch.get_num_threads()
    return [within, torch.get_num_threads()]


def test_only_the_calling_thread_is_limited() -> None:
    before = torch.get_num_threads()
    seen: list[list[int]] = []
    with single_threaded():
        assert torch.get_num_threads() == 1
        other = threading.Thread(target=lambda: seen.append([torch.get_num_threads(), *threads_within_and_after()]))
        other.start()
        other.join()
    assert torch.get_num_threads() == before
    assert seen == [[before, 1, before]]


def test_the_setting_stands_again_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="inside"), single_threaded():
        raise ValueError("inside")
    assert torch.get_num_threads() == before


def test_a_thread_may_stay_limited() -> None:
    before, seen = torch.get_num_threads(), []

    def work() -> None:
        stay_single_threaded()
        seen.extend([torch.get_num_threads(), *threads_within_and_after()])

    other = threading.Thread(target=work)
    other.start()
    other.join()
    assert seen == [1, 1, 1]
    assert torch.get_num_threads() == before


def test_products_of_matrices_stay_on_the_thread() -> None:
    ran = subprocess.run([sys.executable, "-c", SHARE_OF_THIS_THREAD], capture_output=True, text=True, check=True)
    assert float(ran.stdout) > 0.95
