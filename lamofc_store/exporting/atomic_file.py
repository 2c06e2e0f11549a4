"""Files that are complete or absent, and the errors of a disk that refuses them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lamofc_store.errors import StoreError

SHOWN_CHARACTERS = 200
"""Length to which a path is shortened in a message."""


@contextmanager
def atomic_file(target: Path) -> Iterator[BinaryIO]:
    """Open a file to write that takes its name once all of it is on the disk; until then it is a dot file beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an error of the disk into a StoreError that names the path and says how to continue."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{shortened(str(error.filename or folder))} cannot be written: {error.strerror or error}",
            "make room or choose another folder; the same command goes on where it stopped",
        ) from error


def shortened(text: str) -> str:
    """Cut the middle out of a text that is too long for a message."""
    if len(text) <= SHOWN_CHARACTERS:
        return text
    half = SHOWN_CHARACTERS // 2
    return f"{text[:half]}...{text[-half:]} ({len(text)} characters)"
