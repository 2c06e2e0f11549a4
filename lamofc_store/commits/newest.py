"""The number of a commit that was made, kept beside the log: the newest commits cannot vanish unseen.

Nothing in a log points at its own end. So a writer notes each commit in an object of its own after it is published. The
note is a lower bound: a writer may have been stopped before it, or overtaken by another.
"""

from typing import Any, NamedTuple

from lamofc_store.errors import CorruptStore
from lamofc_store.storage import Storage, decode_document, encode_document, paths


class NotedCommit(NamedTuple):
    """A commit that was made."""

    n: int
    checksum: int
    """The crc32c of its bytes."""


def note(storage: Storage, number: int, checksum: int) -> None:
    """Write that a commit was made, in place of what was noted before."""
    storage.write(paths.NEWEST, encode_document({"n": number, "checksum": checksum}))


def noted(storage: Storage) -> NotedCommit | None:
    """Read the commit that was noted last; None in a store of no commits, or of a version that noted none."""
    try:
        data = storage.read(paths.NEWEST)
    except FileNotFoundError:
        return None
    cure = f"remove {paths.NEWEST}: the next commit writes it again"
    try:
        body: dict[str, Any] = decode_document(data, paths.NEWEST)
    except CorruptStore as error:
        raise CorruptStore(error.message, cure) from error
    n, checksum = body.get("n"), body.get("checksum")
    if not isinstance(n, int) or not isinstance(checksum, int):
        raise CorruptStore(f"{paths.NEWEST} names no commit: {body}", cure)
    return NotedCommit(n, checksum)


def require_present(storage: Storage, noted_before: NotedCommit | None, newest: int) -> None:
    """Raise CorruptStore where a commit was noted, before the log was listed, that is not there."""
    if noted_before is not None and noted_before.n > newest and not storage.exists(paths.commit(noted_before.n)):
        count = noted_before.n - newest
        raise CorruptStore(
            f"{paths.commit(noted_before.n)} is missing: {paths.NEWEST} says that it was made,"
            f" and the newest of {storage.url} is {newest}",
            f"restore the {count} newest commits from a copy, or copy the store again; to go on without them,"
            f" remove {paths.NEWEST}",
        )


def require_same(noted_before: NotedCommit | None, number: int, checksum: int | None) -> None:
    """Raise CorruptStore where the commit of this number and checksum was noted with another one."""
    if noted_before is not None and noted_before.n == number and noted_before.checksum != checksum:
        raise CorruptStore(
            f"{paths.commit(number)} is not the commit that {paths.NEWEST} names",
            "restore both from one copy",
        )
