"""Small JSON documents with a checksum of their own.

A document is canonical JSON (sorted keys, no spaces, one line feed at the end) with a field `crc32c` over the same text
without that field. A reader encodes the document again and compares byte for byte, so it finds a change of any byte.
"""

import json
from typing import Any

import google_crc32c

from lamofc_store.errors import CorruptStore

Document = dict[str, Any]

_VERIFY_HINT = "lamofc verify names all that is damaged"


def crc32c(data: bytes) -> int:
    """Compute the Castagnoli checksum of bytes, by a library that loads in milliseconds.

    The codecs have a compiled one for batches, whose compiler takes a second to load; opening a store must not wait.
    """
    return int(google_crc32c.value(data))


def canonical_json(body: Document) -> bytes:
    """Write the one JSON text of a body."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode() + b"\n"


def encode_document(body: Document) -> bytes:
    """Write a body with its checksum."""
    return canonical_json({**body, "crc32c": crc32c(canonical_json(body))})


def decode_document(data: bytes, name: str) -> Document:
    """Read the body of a document; CorruptStore, which names the object, where any byte is not as it was written."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptStore(f"{name} is damaged: {error}", _VERIFY_HINT) from None
    if not isinstance(document, dict) or "crc32c" not in document:
        raise CorruptStore(f"{name} is damaged: no field crc32c", _VERIFY_HINT)
    body = {key: value for key, value in document.items() if key != "crc32c"}
    if encode_document(body) != data:
        raise CorruptStore(f"{name} is damaged: its checksum is not that of its text", _VERIFY_HINT)
    return body
