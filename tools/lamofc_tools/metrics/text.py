"""Metrics of texts."""

import re
from collections.abc import Sequence

from lamofc_store.errors import BadArgument


def word_error_rate(found: Sequence[str], told: Sequence[str]) -> float:
    """Words put in, left out or changed, of all words that were said."""
    _same_length(found, told)
    edits = sum(_distance(one.split(), other.split()) for one, other in zip(found, told, strict=True))
    return edits / max(sum(len(text.split()) for text in told), 1)


def exact_match(found: Sequence[str], told: Sequence[str], *, pattern: str | None = None, loose: bool = False) -> float:
    """Share of texts that are as told; loose, case and a full stop aside.

    With a `pattern`, the last that it finds in each text; where it finds none, a text is no answer and is wrong.
    """
    _same_length(found, told)

    def answer(text: str) -> str | None:
        hits = (
            [text] if pattern is None else [match.group(match.lastindex or 0) for match in re.finditer(pattern, text)]
        )
        last = hits[-1] if hits else None
        return last.strip().rstrip(".").lower() if loose and last is not None else last

    pairs = [(answer(one), answer(other)) for one, other in zip(found, told, strict=True)]
    return sum(one is not None and one == other for one, other in pairs) / max(len(pairs), 1)


def _same_length(found: Sequence[str], told: Sequence[str]) -> None:
    if len(found) != len(told):
        raise BadArgument(f"{len(found)} texts against {len(told)}", "give one for each")


def _distance(one: Sequence[str], other: Sequence[str]) -> int:
    row = list(range(len(other) + 1))
    for number, word in enumerate(one, 1):
        before, row[0] = row[0], number
        for at, said in enumerate(other, 1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (word != said))
    return row[-1]
