"""Heads and what they are worth, as people read it."""

from collections.abc import Mapping
from typing import Any

from lamofc_tools.cli.console import Amount
from lamofc_tools.cli.render.text import facts, number, tables

Document = Mapping[str, Any]
_NOT_MEASURED = {"metrics": "not measured: --test names samples for that"}
"""Shown for a training without test samples, whose loss says nothing of other samples."""


def head(document: Document) -> str:
    """What a training came to."""
    told = {
        "head": f"{document['head']} for {document['task']}, {document['parameters']:,} parameters",
        "sees": ", ".join(document["inputs"]),
        "tells": document["target"],
        "samples": document["samples"],
        "bits read": f"{document['bpfp']:.4g} an element",
        "seconds": number(document["seconds"], 1),
        "loss": " ".join(f"{past['loss']:.4g}" for past in document["history"][-8:]),
        **({name: f"{value:.4f}" for name, value in document["values"].items()} or _NOT_MEASURED),
        "file": document["file"],
    }
    return facts(told)


def judged(document: Document) -> str:
    """A line a point, and the cheapest."""
    names = list(dict.fromkeys(name for point in document["points"] for name in point["values"]))
    rows = [
        (
            point["store"],
            point["rate"],
            Amount(f"{point['bpfp']:.4g}"),
            point["trained_on"],
            point["samples"],
            *(Amount(f"{point['values'][name]:.4f}") if name in point["values"] else None for name in names),
        )
        for point in document["points"]
    ]
    text = tables(("store", "read", "bits/element", "trained on", "samples", *names), rows)
    for found in document["cheapest"]:
        name, place = found["metric"], f"{found['store']}, {found['rate']}"
        text += (
            f"\n\ncheapest, trained on {found['trained_on']}: {found['bpfp']:.4g} bits an element ({place})"
            f"\n{name} {found['values'][name]:.4f}, {found['of_first']:.4f} at the first"
        )
    return text
