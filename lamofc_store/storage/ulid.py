"""Names that sort by the time they were made and never meet: 48 bits of milliseconds, 80 random bits, in 26 letters.

Only commit numbers order a store; the time in a name is for people.
"""

import re
import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PATTERN = re.compile(f"[0-7][{_ALPHABET}]{{25}}")


def new_ulid() -> str:
    """A fresh name, e.g. `01KAQ2V5M2J6X7T9Y0B3C4D5E6`."""
    value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | secrets.randbits(80)
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def is_ulid(name: str) -> bool:
    """Whether `name` has the form of such a name (nothing else from a file may become part of a path)."""
    return _PATTERN.fullmatch(name) is not None
