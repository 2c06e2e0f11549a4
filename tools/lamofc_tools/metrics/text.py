"""Metrics of texts."""

import re
from collections.abc import Sequence

from lamofc_store.errors import BadArgument


def word_error_rate(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Number of words inserted, deleted or substituted, divided by the number of words in the references."""
    _require_equal_length(predictions, references)
    pairs = zip(predictions, references, strict=True)
    edits = sum(_edit_distance(prediction.split(), reference.split()) for prediction, reference in pairs)
    return edits / max(sum(len(reference.split()) for reference in references), 1)


def exact_match(
    predictions: Sequence[str], references: Sequence[str], *, pattern: str | None = None, loose: bool = False
) -> float:
    """Share of predictions that equal their references; with `loose`, case and final full stops are ignored.

    With a `pattern`, its last match in each text is compared. A prediction without a match is wrong.
    """
    _require_equal_length(predictions, references)

    def answer(text: str) -> str | None:
        hits = (
            [text] if pattern is None else [match.group(match.lastindex or 0) for match in re.finditer(pattern, text)]
        )
        last = hits[-1] if hits else None
        return last.strip().rstrip(".").lower() if loose and last is not None else last

    answers = [answer(text) for text in predictions]
    expected = [answer(text) for text in references]
    correct = sum(text is not None and text == right for text, right in zip(answers, expected, strict=True))
    return correct / max(len(answers), 1)


def _require_equal_length(predictions: Sequence[str], references: Sequence[str]) -> None:
    if len(predictions) != len(references):
        raise BadArgument(f"{len(predictions)} texts against {len(references)}", "give one for each")


def _edit_distance(words: Sequence[str], reference: Sequence[str]) -> int:
    """Compute the Levenshtein distance, one row of the table at a time."""
    row = list(range(len(reference) + 1))
    for number, word in enumerate(words, 1):
        diagonal, row[0] = row[0], number
        for column, right in enumerate(reference, 1):
            substituted = diagonal + (word != right)
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, substituted)
    return row[-1]
