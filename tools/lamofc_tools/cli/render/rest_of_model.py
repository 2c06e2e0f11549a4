"""Text of evaluations of the rest of a model."""

from pathlib import Path

from lamofc_tools.cli.console import Amount
from lamofc_tools.cli.render.text import Document, counted, tables

_PARTS = {"prefix": "prefix", "continued": "cont."}
_ANSWERS = ("accuracy", "accuracy_norm", "exact_match")


def evaluation(document: Document) -> str:
    """Format a line about the texts, a table of divergences, and one of perplexities and right answers."""
    points = document["points"]
    values = points[0]["values"]
    tokens = f"{values['positions_prefix']:.0f} tokens and {values['positions_continued']:.0f} after them"
    heading = f"{document['model']} after block {document['block']}: {counted(document['samples'], 'text')}, {tokens}"
    measures = [f"{name} {part}" for part in _PARTS.values() for name in ("KL", "top-1")]
    divergences = tables(("store", "read", "bits", "profile", *measures), [_divergences(point) for point in points])
    answers = [name for name in _ANSWERS if name in values]
    rows = [("unbroken", None, *_answers(points[0], answers, "unbroken_"))]
    rows += [(*_place(point), *_answers(point, answers)) for point in points]
    perplexities = [f"ppl. {part}" for part in _PARTS.values()]
    return "\n\n".join((heading, divergences, tables(("store", "read", *perplexities, *answers), rows)))


def _place(point: Document) -> tuple[str, str]:
    return Path(point["store"]).name, point["rate"]


def _divergences(point: Document) -> tuple[str, ...]:
    rates = (Amount(f"{point['bpfp']:.4g}"), Amount(f"{point['profile_bpfp']:.3g}"))
    shown = {"kl": ".3g", "top1": ".4f"}
    values = point["values"]
    figures = (Amount(format(values[f"{name}_{part}"], form)) for part in _PARTS for name, form in shown.items())
    return *_place(point), *rates, *figures


def _answers(point: Document, names: list[str], of: str = "") -> tuple[str, ...]:
    """Format perplexities and shares of right answers, those of the point or of the unbroken model."""
    values = point["values"]
    perplexities = (Amount(f"{values[f'{of}perplexity_{part}']:.4g}") for part in _PARTS)
    return *perplexities, *(Amount(f"{values[f'{of}{name}']:.4f}") for name in names)
