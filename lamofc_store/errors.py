"""The errors of a store, as a tree.

    StoreError
    ├── NotFound          no such store, sample, feature, profile or snapshot        exit 3
    │   ├── NotAStore     the place exists but holds no store
    │   └── Expired       the snapshot has expired; its rows may be collected
    ├── Conflict          another writer's commit, or other content under one key     exit 4
    │   └── SchemaConflict
    ├── CorruptStore      an object is missing, damaged or contradicts another        exit 5
    ├── NewerFormat       written by a later version than this one
    ├── ReadOnly          a write through a store opened for reading
    ├── WorkerLost        a loader's worker died, or answered too late
    └── BadArgument       a value that cannot be meant                                exit 2

Every error has two lines: its message, which shows what is wrong with the value, and `cure`, which names the next step;
a traceback shows both. A cure that names arguments is a `Hint`.
"""

import re
from collections.abc import Callable
from typing import ClassVar

_ARGUMENT = re.compile(r"\[([a-z_]+)\]")
_LONGEST_REASON = 200


def keyword(argument: str) -> str:
    """Write an argument as Python does: `overwrite=`."""
    return f"{argument}="


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, at most 200 characters; its type where it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:_LONGEST_REASON]


class Hint(str):
    """The second line of an error, with arguments in square brackets: `give [overwrite] to replace it`.

    As text it shows them as keywords. The command line shows the same hint with its options.
    """

    template: str

    def __new__(cls, template: str) -> "Hint":
        """Make a hint whose text shows the arguments of a template as keywords."""
        self = super().__new__(cls, _ARGUMENT.sub(lambda match: keyword(match[1]), template))
        self.template = template
        return self

    def worded(self, word: Callable[[str], str]) -> str:
        """Write the hint with each argument in the form that a function gives it."""
        return _ARGUMENT.sub(lambda match: word(match[1]), self.template)


class StoreError(Exception):
    """Base of all errors of the store."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        if cure:
            self.add_note(cure)

    def __reduce__(self) -> tuple[type["StoreError"], tuple[str, str]]:
        return type(self), (self.message, self.cure)


class NotFound(StoreError, LookupError):
    """There is no store, sample, feature, profile or snapshot of that name."""

    exit_code = 3


class NotAStore(NotFound):
    """The place exists, but it holds no store."""


class Expired(NotFound):
    """The snapshot has expired; garbage collection may have deleted its objects."""


class Conflict(StoreError):
    """Two writers, or two contents, compete for the same key."""

    exit_code = 4


class SchemaConflict(Conflict):
    """A column of the samples would change its type with loss."""


class CorruptStore(StoreError):
    """A stored object is missing, damaged, or contradicts another."""

    exit_code = 5


class NewerFormat(StoreError):
    """The store needs a later version of this package."""


class ReadOnly(StoreError):
    """The store was opened for reading, or its storage cannot be written."""


class WorkerLost(StoreError):
    """A worker process of a loader died, or answered too late."""


class SourceError(StoreError):
    """The features to ingest cannot be read."""


class SourceNotFound(SourceError, NotFound):
    """The source has no feature or column of that name."""


class BadArgument(StoreError, ValueError):
    """A value that cannot be meant."""

    exit_code = 2
