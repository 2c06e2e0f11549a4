"""Work done ahead of whoever needs its results, by one thread of this process."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")

_END: Any = object()


@contextmanager
def ahead(items: Iterable[Item], count: int) -> Generator[Iterator[Item], None, None]:
    """The same items, up to `count` of them made before they are asked for; none where `count` is 0.

    An error comes out where its item would have. On leaving, the thread ends with the item that it is making.
    """
    source = iter(items)
    if not count:
        yield source
        return
    with ThreadPoolExecutor(1, thread_name_prefix="lamofc-ahead") as thread:
        made = deque(thread.submit(next, source, _END) for _ in range(count))
        try:
            yield _taken(thread, source, made)
        finally:
            thread.shutdown(cancel_futures=True)


def _taken(thread: ThreadPoolExecutor, source: Iterator[Item], made: "deque[Future[Item]]") -> Iterator[Item]:
    while (item := made.popleft().result()) is not _END:
        made.append(thread.submit(next, source, _END))
        yield item
