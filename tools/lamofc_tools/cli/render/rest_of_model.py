"""Text of evaluations of the rest of a model."""

from pathlib import Path

from lamofc_tools.cli.console import Amount
from lamofc_tools.cli.render.text import Document, tables

_FIGURES = {"kl": ("KL", ".4g"), "top1": ("top-1", ".4f"), "perplexity": ("ppl.", ".4g")}
_PARTS = {"prefix": "prefix", "continued": "continuation"}
_ANSWERS = ("accuracy", "accuracy_norm", "accuracy_bytes", "exact_match")


def evaluation(document: Document) -> str:
    """Format the evaluation in a few lines, a table of both parts, and a table of right answers where there are any."""
    points = document["points"]
    values = points[0]["values"]
    unbroken = [f"{values[f'unbroken_perplexity_{part}']:.4g} at the {name}" for part, name in _PARTS.items()]
    tokens = [f"{values[f'positions_{part}']:.0f} tokens of the {name}" for part, name in _PARTS.items()]
    lines = [
        f"{document['model']} after block {document['block']}, {document['samples']} texts: {', '.join(tokens)}",
        f"perplexity of the unbroken model: {', '.join(unbroken)}",
    ]
    rows = [(*_rate(point), *(_figure(point, part, name) for part in _PARTS for name in _FIGURES)) for point in points]
    titles = [f"{title} {mark}" for mark in ("pre", "con") for title, _ in _FIGURES.values()]
    parts = ["\n".join(lines), tables(("store", "read", "bits", "profile", *titles), rows)]
    answers = [name for name in _ANSWERS if name in values]
    if answers:
        parts.append(tables(("store", "read", *answers), [_answers(point, answers) for point in points]))
    return "\n\n".join(parts)


def _rate(point: Document) -> tuple[str, str, Amount, Amount]:
    bits, profile = (Amount(f"{point[name]:.4g}") for name in ("bpfp", "profile_bpfp"))
    return Path(point["store"]).name, point["rate"], bits, profile


def _figure(point: Document, part: str, name: str) -> Amount:
    return Amount(format(point["values"][f"{name}_{part}"], _FIGURES[name][1]))


def _answers(point: Document, names: list[str]) -> tuple[str, ...]:
    """Format the shares of right answers, each with that of the unbroken model."""
    values = point["values"]
    shares = (Amount(f"{values[name]:.4f} of {values[f'unbroken_{name}']:.4f}") for name in names)
    return Path(point["store"]).name, point["rate"], *shares
