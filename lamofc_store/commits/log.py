"""The log of commits: numbered without gaps, each by exclusive create, so that all writers agree on one order."""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from lamofc_store.commits import checkpoint
from lamofc_store.commits.commit import Change, Commit, from_body
from lamofc_store.commits.snapshot import Snapshot, apply
from lamofc_store.errors import CorruptStore, Expired, Hint, NotFound
from lamofc_store.storage import Storage, crc32c, new_ulid, paths, seal, unseal

Build = Callable[[Snapshot], Change | None]
"""Works out a change against a given snapshot; called again whenever somebody else's commit came first."""

_FIRST_WAIT, _LONGEST_WAIT = 0.002, 1.0


def read_commit(storage: Storage, number: int) -> tuple[Commit, int]:
    """A commit and the checksum of its bytes; FileNotFoundError when there is none of that number."""
    path = paths.commit(number)
    data = storage.read(path)
    commit = from_body(unseal(data, path), path)
    if commit.n != number:
        raise CorruptStore(f"{path} holds commit {commit.n}", "restore it from a copy")
    return commit, crc32c(data)


def commit_numbers(storage: Storage) -> range:
    """The numbers that are there; a gap is corruption.

    A folder that is listed while others commit may show a commit and not the one before it: that one is looked for.
    """
    found = {number for name in storage.names(paths.COMMITS) if (number := paths.commit_number(name)) is not None}
    numbers = range(max(found, default=-1) + 1)
    if len(found) == len(numbers):
        return numbers
    for number in numbers:
        if number not in found and not storage.exists(paths.commit(number)):
            raise CorruptStore(
                f"{paths.commit(number)} is missing, yet {paths.commit(numbers[-1])} is there", "restore it from a copy"
            )
    return numbers


def load(storage: Storage, as_of: int | None = None) -> Snapshot:
    """The newest snapshot, or the one after commit `as_of`."""
    numbers = commit_numbers(storage)
    head = _load_at(storage, numbers[-1] if numbers else -1)
    if as_of is None or as_of == head.n:
        return head
    if as_of not in numbers:
        raise NotFound(f"there is no commit {as_of}: the newest is {head.n}", "lamofc log lists the commits")
    if as_of < head.expired:
        raise Expired(
            f"snapshot {as_of} has expired; the oldest kept is {head.expired}",
            "ask for a later one; lamofc log lists them",
        )
    return _load_at(storage, as_of)


def _load_at(storage: Storage, number: int) -> Snapshot:
    snapshot = checkpoint.newest(storage, number)
    for following in range(snapshot.n + 1, number + 1):
        snapshot = _follow(storage, snapshot, following)
    return snapshot


def _follow(storage: Storage, snapshot: Snapshot, number: int) -> Snapshot:
    try:
        commit, checksum = read_commit(storage, number)
    except FileNotFoundError:
        raise CorruptStore(f"{paths.commit(number)} is missing", "restore it from a copy") from None
    return apply(snapshot, commit, checksum)


def replay(storage: Storage, stop: int) -> Iterator[tuple[Commit, Snapshot]]:
    """Every commit up to `stop` and the state after it, from the log alone, without checkpoints."""
    snapshot = Snapshot()
    for number in range(stop + 1):
        try:
            commit, checksum = read_commit(storage, number)
        except FileNotFoundError:
            raise CorruptStore(f"{paths.commit(number)} is missing", "restore it from a copy") from None
        snapshot = apply(snapshot, commit, checksum)
        yield commit, snapshot


def advance(storage: Storage, snapshot: Snapshot) -> Snapshot:
    """The newest snapshot, from one that may have been overtaken."""
    while True:
        try:
            commit, checksum = read_commit(storage, snapshot.n + 1)
        except FileNotFoundError:
            return snapshot
        snapshot = apply(snapshot, commit, checksum)


def require_kept(storage: Storage, number: int) -> None:
    """Expired when the commits after a snapshot have given it up."""
    oldest = number
    for later in itertools.count(number + 1):
        try:
            commit, _ = read_commit(storage, later)
        except FileNotFoundError:
            break
        oldest = max(oldest, commit.change.expires or 0)
    if number < oldest:
        raise Expired(
            f"snapshot {number} was given up while it was read; the oldest kept is {oldest}",
            Hint("refresh the store or open it again; garbage collection with [keep] 7d leaves readers a week"),
        )


@contextmanager
def while_kept(storage: Storage, number: int) -> Iterator[None]:
    """Expired, and no damage, where something of a snapshot is missing because it was given up meanwhile."""
    from lamofc_catalog import CatalogError

    try:
        yield
    except (CorruptStore, CatalogError, OSError):
        require_kept(storage, number)
        raise


def publish(storage: Storage, head: Snapshot, build: Build) -> Snapshot:
    """Commit what `build` makes of the newest snapshot, which it is given; returns the state after.

    Whoever loses the race for a number reads the winner's commit, builds anew and tries the next number. `build` may
    return None: there is nothing to do any more.
    """
    writer = new_ulid()
    for attempt in itertools.count():
        with storage.committing():
            head = advance(storage, head)
            try:
                with while_kept(storage, head.n):
                    change = build(head)
            except Expired:
                continue
            if change is None:
                return head
            commit = Commit(head.n + 1, head.crc32c, writer, _time_after(head.time), change)
            data = seal(commit.to_body())
            if _created(storage, commit, data):
                head = apply(head, commit, crc32c(data))
                break
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt)
        time.sleep(random.uniform(0, longest))  # noqa: S311 - back-off, not a secret
    checkpoint.make_if_due(storage, head)
    return head


def _created(storage: Storage, commit: Commit, data: bytes) -> bool:
    """Whether the commit is ours now, even when the answer to our request got lost."""
    path = paths.commit(commit.n)
    try:
        if storage.create(path, data):
            return True
    except OSError:
        if not storage.exists(path):
            raise
    return storage.read(path) == data


def _time_after(previous: str) -> str:
    """Now, for people; never before the previous commit's, whatever the clocks say."""
    return max(previous, datetime.now(UTC).isoformat(timespec="microseconds"))
