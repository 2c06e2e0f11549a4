"""Small JSON documents that know when they were damaged.

A document is canonical JSON (sorted keys, no spaces, one line feed at the end) with a field `crc32c` over the same text
without it. Reading compares byte for byte with what writing would give, so no flip of any byte passes.
"""

import json
from typing import Any

import google_crc32c

from lamofc_store.errors import CorruptStore

Document = dict[str, Any]


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum of `data`, as an unsigned number."""
    return int(google_crc32c.value(data))


def canonical(body: Document) -> bytes:
    """The one JSON text of `body`."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode() + b"\n"


def seal(body: Document) -> bytes:
    """The bytes to store for `body`."""
    return canonical({**body, "crc32c": crc32c(canonical(body))})


def unseal(data: bytes, name: str) -> Document:
    """The body stored in `data`; `name` says in the error which object was damaged."""
    try:
        sealed = json.loads(data)
    except ValueError as error:
        raise CorruptStore(f"{name} is damaged: {error}", "lamofc verify names all that is damaged") from None
    if not isinstance(sealed, dict) or "crc32c" not in sealed:
        raise CorruptStore(f"{name} is damaged: no field crc32c", "lamofc verify names all that is damaged")
    body = {key: value for key, value in sealed.items() if key != "crc32c"}
    if seal(body) != data:
        raise CorruptStore(
            f"{name} is damaged: its checksum is not that of its text", "lamofc verify names all that is damaged"
        )
    return body
