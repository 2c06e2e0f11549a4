"""Errors of foreign file readers, turned into errors of the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lamofc_store.errors import SourceError, StoreError, first_line


@contextmanager
def reading(path: Path, file_format: str) -> Iterator[None]:
    """Turn any exception of a foreign reader at a bad file into a SourceError that names the file.

    Every exception is caught, because no parser documents what it raises at hostile bytes.
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise SourceError(
            f"{path} ({path.stat().st_size if path.exists() else 'no'} bytes) is no readable {file_format}:"
            f" {type(error).__name__}: {first_line(error)}",
            "fetch or write the file again, or leave it out; a file cut short is the usual reason",
        ) from error
