"""Records are shared among threads, and no thread's setting of torch is another one afterwards."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from lamofc_codecs import Quality, decode, encode, fit
from lamofc_codecs.pipeline import Encoder
from lamofc_codecs.runtime.threads import each
from lamofc_codecs.testing.samples import feature

SHARED = 1 << 18
"""Elements of each of several jobs that are shared among threads."""


def threads_of_a_fresh_thread() -> int:
    with ThreadPoolExecutor(1) as fresh:
        return fresh.submit(torch.get_num_threads).result()


@pytest.fixture
def two_threads() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_concurrent_readers_leave_every_threads_setting_alone() -> None:
    profile = fit("uniform", [feature(200, 48, -1)], Quality(snr_db=15))
    records = [record.data for record in encode([feature(60, 48, seed) for seed in range(4)], profile)]
    until, seen = time.monotonic() + 2, []

    def read() -> None:
        before = torch.get_num_threads()
        while time.monotonic() < until:
            decode(records, profile)
        seen.append((before, torch.get_num_threads()))

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
        time.sleep(0.05)
    for reader in readers:
        reader.join()
    assert seen == [(2, 2)] * 8
    assert (torch.get_num_threads(), threads_of_a_fresh_thread()) == (2, 2)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("elements", [1, SHARED])
def test_jobs_see_one_thread_and_give_their_results_in_order(elements: int) -> None:
    jobs = list(range(20))
    found = each(lambda job: (job, torch.get_num_threads()), jobs, elements * len(jobs))
    assert found == [(job, 1) for job in jobs]
    assert (torch.get_num_threads(), threads_of_a_fresh_thread()) == (2, 2)


@pytest.mark.usefixtures("two_threads")
def test_jobs_are_shared_where_there_are_cores() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")
    arrived = threading.Barrier(2, timeout=20)
    each(lambda _: arrived.wait(), [0, 1], 2 * SHARED)


@pytest.mark.usefixtures("two_threads")
def test_the_first_error_is_raised_once_no_job_runs_any_more() -> None:
    active = []

    def work(job: int) -> None:
        active.append(job)
        time.sleep(0.02 * (job == 2))
        active.remove(job)
        if job in (2, 3):
            raise ValueError(job)

    with pytest.raises(ValueError, match="2"):
        each(work, range(50), 50 * SHARED)
    assert not active


@pytest.mark.usefixtures("two_threads")
def test_jobs_may_share_work_themselves() -> None:
    def outer(job: int) -> list[int]:
        return each(lambda inner: 10 * job + inner, range(3), 3 * SHARED)

    assert each(outer, range(8), 8 * SHARED) == [[10 * job + inner for inner in range(3)] for job in range(8)]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_a_pool_of_its_own() -> None:
    each(lambda job: job, range(4), 4 * SHARED)
    child = os.fork()
    if child == 0:
        os._exit(each(lambda job: job + 1, range(4), 4 * SHARED) != [1, 2, 3, 4])
    until = time.monotonic() + 60
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.05)
    os.kill(child, 9)
    pytest.fail("the child waits for threads that it does not have")


@pytest.mark.usefixtures("two_threads")
def test_threads_share_the_encoding_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")
    profile = fit("uniform", [feature(200, 48, -1)], Quality(snr_db=15))
    arrived = threading.Barrier(2, timeout=20)
    monkeypatch.setattr(Encoder, "encode", lambda encoder, element, placement: arrived.wait())
    assert sorted(map(int, encode([torch.zeros(200, 48)] * 2, profile))) == [0, 1]
