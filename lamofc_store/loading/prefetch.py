"""Prefetching: one thread of this process makes items before their consumer needs them."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")

_END: Any = object()


@contextmanager
def prefetch(items: Iterable[Item], count: int) -> Generator[Iterator[Item], None, None]:
    """Iterate over the same items with up to `count` of them made in advance; 0 makes none in advance.

    An error is raised where its item would have been. On leaving, the thread ends once the item that it is making is
    done.
    """
    source = iter(items)
    if not count:
        yield source
        return
    with ThreadPoolExecutor(1, thread_name_prefix="lamofc-prefetch") as thread:
        made = deque(thread.submit(next, source, _END) for _ in range(count))
        try:
            yield _in_order(thread, source, made)
        finally:
            thread.shutdown(cancel_futures=True)


def _in_order(thread: ThreadPoolExecutor, source: Iterator[Item], made: "deque[Future[Item]]") -> Iterator[Item]:
    while (item := made.popleft().result()) is not _END:
        made.append(thread.submit(next, source, _END))
        yield item
