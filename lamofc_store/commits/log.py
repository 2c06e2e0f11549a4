"""The log of commits: numbered without gaps, each by exclusive create, so that all writers agree on one order."""

import contextlib
import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from lamofc_store.commits import checkpoint, newest
from lamofc_store.commits.commit import Change, Commit, from_body
from lamofc_store.commits.snapshot import Snapshot, apply
from lamofc_store.errors import CorruptStore, Expired, Hint, NotFound, StoreError
from lamofc_store.storage import Storage, crc32c, decode_document, encode_document, new_ulid, paths

ChangeBuilder = Callable[[Snapshot], Change | None]
"""Works out a change against a snapshot; called again whenever another writer's commit came first."""

_FIRST_BACKOFF_SECONDS, _MAX_BACKOFF_SECONDS = 0.002, 1.0


def read_commit(storage: Storage, number: int) -> tuple[Commit, int]:
    """Read a commit and the checksum of its bytes; FileNotFoundError where there is none of that number."""
    path = paths.commit(number)
    data = storage.read(path)
    commit = from_body(decode_document(data, path), path)
    if commit.n != number:
        raise CorruptStore(f"{path} holds commit {commit.n}", "restore it from a copy")
    return commit, crc32c(data)


def commit_numbers(storage: Storage) -> range:
    """List the numbers of all commits; a gap is corruption.

    A listing made while others commit may show a commit and not the one before it, so a missing one is looked up.
    """
    listed = {number for name in storage.names(paths.COMMITS) if (number := paths.commit_number(name)) is not None}
    numbers = range(max(listed, default=-1) + 1)
    if len(listed) == len(numbers):
        return numbers
    for number in numbers:
        if number not in listed and not storage.exists(paths.commit(number)):
            raise CorruptStore(
                f"{paths.commit(number)} is missing, yet {paths.commit(numbers[-1])} is there", "restore it from a copy"
            )
    return numbers


def load(storage: Storage, as_of: int | None = None) -> Snapshot:
    """Load the newest snapshot, or the one after commit `as_of`; CorruptStore where a newer commit was made."""
    made = newest.noted(storage)  # before the log is listed: another writer may commit meanwhile
    numbers = commit_numbers(storage)
    newest.require_present(storage, made, max(numbers, default=-1))
    head = _load_at(storage, numbers[-1] if numbers else -1)
    newest.require_same(made, head.n, head.crc32c)
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
    snapshot = checkpoint.load_newest(storage, number)
    for following in range(snapshot.n + 1, number + 1):
        _, snapshot = _next(storage, snapshot, following)
    return snapshot


def replay(storage: Storage, stop: int) -> Iterator[tuple[Commit, Snapshot]]:
    """Yield every commit up to `stop` and the state after it, from the log alone, without checkpoints."""
    snapshot = Snapshot()
    for number in range(stop + 1):
        commit, snapshot = _next(storage, snapshot, number)
        yield commit, snapshot


def _next(storage: Storage, snapshot: Snapshot, number: int) -> tuple[Commit, Snapshot]:
    """The commit that must follow a snapshot, and the state after it."""
    try:
        commit, checksum = read_commit(storage, number)
    except FileNotFoundError:
        raise CorruptStore(f"{paths.commit(number)} is missing", "restore it from a copy") from None
    return commit, apply(snapshot, commit, checksum)


def catch_up(storage: Storage, snapshot: Snapshot) -> Snapshot:
    """Apply the commits that were published since a snapshot; gives the newest one."""
    while True:
        try:
            commit, checksum = read_commit(storage, snapshot.n + 1)
        except FileNotFoundError:
            return snapshot
        snapshot = apply(snapshot, commit, checksum)


def require_unexpired(storage: Storage, number: int) -> None:
    """Raise Expired where a later commit has expired a snapshot."""
    oldest = number
    for later in itertools.count(number + 1):
        try:
            commit, _ = read_commit(storage, later)
        except FileNotFoundError:
            break
        oldest = max(oldest, commit.change.expires or 0)
    if number < oldest:
        raise Expired(
            f"snapshot {number} expired while it was read; the oldest kept is {oldest}",
            Hint("refresh the store or open it again; garbage collection with [keep] 7d leaves readers a week"),
        )


@contextmanager
def detect_expiry(storage: Storage, number: int) -> Iterator[None]:
    """Raise Expired, in place of an error about damage, where a snapshot expired while it was read."""
    from lamofc_catalog import CatalogError

    try:
        yield
    except (CorruptStore, CatalogError, OSError):
        require_unexpired(storage, number)
        raise


def publish(storage: Storage, head: Snapshot, build: ChangeBuilder) -> Snapshot:
    """Commit the change that `build` makes of the newest snapshot, and return the state after it.

    A writer that loses the race for a number applies the winner's commit, builds its change anew and tries the next
    number. If `build` returns None, nothing is committed.
    """
    writer = new_ulid()
    for attempt in itertools.count():
        with storage.commit_lock():
            head = catch_up(storage, head)
            try:
                with detect_expiry(storage, head.n):
                    change = build(head)
            except Expired:
                continue
            if change is None:
                return head
            commit = Commit(head.n + 1, head.crc32c, writer, _time_after(head.time), change)
            data = encode_document(commit.to_body())
            if _is_published(storage, commit, data):
                checksum = crc32c(data)
                head = apply(head, commit, checksum)
                with contextlib.suppress(StoreError, OSError):  # the commit is made; the note is a lower bound
                    newest.note(storage, head.n, checksum)
                break
        longest = min(_MAX_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2**attempt)
        time.sleep(random.uniform(0, longest))  # noqa: S311 - back-off, not a secret
    checkpoint.write_if_due(storage, head)
    return head


def _is_published(storage: Storage, commit: Commit, data: bytes) -> bool:
    """Create a commit's object; True where it is there now, even if the storage's answer was lost."""
    path = paths.commit(commit.n)
    try:
        if storage.create(path, data):
            return True
    except (OSError, StoreError):
        if not storage.exists(path):
            raise
    return storage.read(path) == data


def _time_after(previous: str) -> str:
    """Time now, for people; never before the previous commit's, whatever the clocks show."""
    return max(previous, datetime.now(UTC).isoformat(timespec="microseconds"))
