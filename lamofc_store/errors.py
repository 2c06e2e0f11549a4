"""What can go wrong with a store, as a tree.

    StoreError
    ├── NotFound          no such store, sample, feature, profile or snapshot        exit 3
    │   ├── NotAStore     the place exists but holds no store
    │   └── Expired       the snapshot was expired; its rows may be collected
    ├── Conflict          somebody else's commit, or different content under one key  exit 4
    │   └── SchemaConflict
    ├── CorruptStore      an object is missing, damaged or contradicts another        exit 5
    ├── NewerFormat       written by a later version than this one
    ├── ReadOnly          a write through a store opened for reading
    ├── WorkerLost        a loader's worker died, or gave nothing in time
    ├── SourceError       the features to take in cannot be read
    │   └── SourceNotFound  the source has no feature or column of that name         exit 3
    └── BadArgument       a value that cannot be meant                                exit 2

Every error has two lines: what is wrong with the value that was given, and `cure`, the act that mends it; a traceback
shows both. A cure that names arguments is a `Hint`.
"""

import re
from collections.abc import Callable
from typing import ClassVar

_ARGUMENT = re.compile(r"\[([a-z_]+)\]")


def keyword(argument: str) -> str:
    """Word an argument as Python does: `overwrite=`."""
    return f"{argument}="


class Hint(str):
    """A cure that names arguments, in square brackets: `give [overwrite] to replace it`.

    As text it names them as keywords. The command line words the same hint with its options.
    """

    template: str

    def __new__(cls, template: str) -> "Hint":
        """Word the arguments of a template as keywords."""
        self = super().__new__(cls, _ARGUMENT.sub(lambda found: keyword(found[1]), template))
        self.template = template
        return self

    def worded(self, word: Callable[[str], str]) -> str:
        """The hint with each argument worded by a function."""
        return _ARGUMENT.sub(lambda found: word(found[1]), self.template)


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
    """Nothing of that name is here."""

    exit_code = 3


class NotAStore(NotFound):
    """The place exists, but no store was made there."""


class Expired(NotFound):
    """The snapshot was given up; what it needs may be gone."""


class Conflict(StoreError):
    """Two writers, or two contents, claim the same key."""

    exit_code = 4


class SchemaConflict(Conflict):
    """A column of the samples would change its type with loss."""


class CorruptStore(StoreError):
    """A stored object is missing, damaged, or contradicts another."""

    exit_code = 5


class NewerFormat(StoreError):
    """The store needs a later version of this package."""


class ReadOnly(StoreError):
    """The store was opened for reading, or its place cannot be written."""


class WorkerLost(StoreError):
    """A process that fetched for a loader is gone, or too slow."""


class SourceError(StoreError):
    """The features to take in cannot be read as features."""


class SourceNotFound(SourceError, NotFound):
    """The source has no feature or column of that name."""


class BadArgument(StoreError, ValueError):
    """A value that cannot be meant."""

    exit_code = 2
