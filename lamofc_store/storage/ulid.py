"""Unique names that sort by the time of their making: 48 bits of milliseconds and 80 random bits, in 26 letters.

Only commit numbers order a store; the time in a name is for people.
"""

import re
import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PATTERN = re.compile(f"[0-7][{_ALPHABET}]{{25}}")


def new_ulid() -> str:
    """Make a new name, such as `01KAQ2V5M2J6X7T9Y0B3C4D5E6`."""
    value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | secrets.randbits(80)
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def is_ulid(name: str) -> bool:
    """Whether a text has the form of a ulid. No other text that was read from a file may become part of a path."""
    return _PATTERN.fullmatch(name) is not None
