"""Paths of the objects of a store. Ids that were read from files are checked before they become part of a path."""

import re

from lamofc_store.errors import CorruptStore
from lamofc_store.storage.ulid import is_ulid

MARKER = "lamofc.json"
COMMITS = "commits"
NEWEST = f"{COMMITS}/head"
CHECKPOINTS = "checkpoints"
PROFILES = "profiles"
ROWS = "rows"
SEGMENTS = "segments"
UNFINISHED = "tmp"
TABLES = ("records", "samples", "gone", "metrics", "runs", "skipped")

_VERIFY_HINT = "lamofc verify names all that is damaged"
_NUMBER = re.compile(r"\d{20}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ROWS = re.compile(rf"([0-9A-Z]{{26}})\.({'|'.join(TABLES)})")


def commit(number: int) -> str:
    """Path of a commit."""
    return f"{COMMITS}/{number:020d}.json"


def commit_number(name: str) -> int | None:
    """Read the number in a commit's file name; None for any other name."""
    stem, dot, suffix = name.partition(".")
    return int(stem) if dot and suffix == "json" and _NUMBER.fullmatch(stem) else None


def checkpoint(number: int) -> str:
    """Folder of the checkpoint that was made after a commit."""
    return f"{CHECKPOINTS}/{number:020d}"


def checkpoint_number(name: str) -> int | None:
    """Read the number in a checkpoint's folder name; None for any other name."""
    return int(name) if _NUMBER.fullmatch(name) else None


def profile(identity: str) -> str:
    """Path of a profile, by its sha256."""
    if not _SHA256.fullmatch(identity):
        raise CorruptStore(f"{identity!r} is no profile id: expected 64 hexadecimal digits", _VERIFY_HINT)
    return f"{PROFILES}/{identity}.safetensors"


def rows(name: str) -> str:
    """Path of the rows object `<ulid>.<table>`."""
    rows_parts(name)
    return f"{ROWS}/{name}.parquet"


def rows_parts(name: str) -> tuple[str, str]:
    """Split a rows object's name into its ulid and its table."""
    match = _ROWS.fullmatch(name)
    if match is None or not is_ulid(match[1]):
        raise CorruptStore(f"{name!r} is no name of rows: expected <ulid>.<table>", _VERIFY_HINT)
    return match[1], match[2]


def segment(identity: str, inside: str = "") -> str:
    """Folder of a segment, or an object inside it."""
    if not is_ulid(identity):
        raise CorruptStore(f"{identity!r} is no segment id: expected a ulid", _VERIFY_HINT)
    return f"{SEGMENTS}/{identity}/{inside}".rstrip("/")


def payload(identity: str) -> str:
    """Path of the object that holds a segment's records end to end."""
    return segment(identity, "payload/c/0")
