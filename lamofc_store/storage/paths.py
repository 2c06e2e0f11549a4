"""Where each object of a store lies. Ids come from files and are checked before they become part of a path."""

import re

from lamofc_store.errors import CorruptStore
from lamofc_store.storage.ulid import is_ulid

MARKER = "lamofc.json"
COMMITS = "commits"
CHECKPOINTS = "checkpoints"
PROFILES = "profiles"
ROWS = "rows"
SEGMENTS = "segments"
UNFINISHED = "tmp"
TABLES = ("records", "samples", "gone", "metrics", "runs", "skipped")

_NUMBER = re.compile(r"\d{20}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ROWS = re.compile(rf"([0-9A-Z]{{26}})\.({'|'.join(TABLES)})")


def commit(number: int) -> str:
    """The commit of that number."""
    return f"{COMMITS}/{number:020d}.json"


def commit_number(name: str) -> int | None:
    """The number in a commit's file name, or None for a stranger."""
    stem, dot, suffix = name.partition(".")
    return int(stem) if dot and suffix == "json" and _NUMBER.fullmatch(stem) else None


def checkpoint(number: int) -> str:
    """The folder of the checkpoint made after that commit."""
    return f"{CHECKPOINTS}/{number:020d}"


def checkpoint_number(name: str) -> int | None:
    """The number in a checkpoint's folder name, or None for a stranger."""
    return int(name) if _NUMBER.fullmatch(name) else None


def profile(identity: str) -> str:
    """The profile of that sha256."""
    if not _SHA256.fullmatch(identity):
        raise CorruptStore(
            f"{identity!r} is no profile id: expected 64 hexadecimal digits", "lamofc verify names all that is damaged"
        )
    return f"{PROFILES}/{identity}.safetensors"


def rows(name: str) -> str:
    """The rows object `<ulid>.<table>`."""
    rows_parts(name)
    return f"{ROWS}/{name}.parquet"


def rows_parts(name: str) -> tuple[str, str]:
    """The ulid and the table of a rows object's name."""
    found = _ROWS.fullmatch(name)
    if found is None or not is_ulid(found[1]):
        raise CorruptStore(
            f"{name!r} is no name of rows: expected <ulid>.<table>", "lamofc verify names all that is damaged"
        )
    return found[1], found[2]


def segment(identity: str, inside: str = "") -> str:
    """The folder of a segment, or an object inside it."""
    if not is_ulid(identity):
        raise CorruptStore(f"{identity!r} is no segment id: expected a ulid", "lamofc verify names all that is damaged")
    return f"{SEGMENTS}/{identity}/{inside}".rstrip("/")


def payload(identity: str) -> str:
    """The object that holds a segment's records end to end."""
    return segment(identity, "payload/c/0")
