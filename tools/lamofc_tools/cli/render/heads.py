"""Text of trained heads and their evaluation."""

from collections.abc import Mapping
from typing import Any

from lamofc_tools.cli.console import Amount
from lamofc_tools.cli.render import curve_points
from lamofc_tools.cli.render.text import facts, number, tables

Document = Mapping[str, Any]
_NOT_MEASURED = {"metrics": "not measured: --test names samples for that"}
"""Shown for a training without test samples, whose loss says nothing of other samples."""


def head(document: Document) -> str:
    """Format the report of a training."""
    values = {
        "head": f"{document['head']} for {document['task']}, {document['parameters']:,} parameters",
        "inputs": ", ".join(document["inputs"]),
        "target": document["target"],
        "samples": document["samples"],
        "bits read": f"{document['bpfp']:.4g} per element",
        "seconds": number(document["seconds"], 1),
        "loss": " ".join(f"{past['loss']:.4g}" for past in document["history"][-8:]),
        **({name: f"{value:.4f}" for name, value in document["values"].items()} or _NOT_MEASURED),
        "file": document["file"],
    }
    return facts(values)


def evaluation(document: Document) -> str:
    """Format a line for each point, then the cheapest point within the tolerance."""
    points = document["points"]
    names = list(dict.fromkeys(name for point in points for name in point["values"]))
    rows = [
        (
            point["store"],
            point["rate"],
            Amount(f"{point['bpfp']:.4g}"),
            point["trained_on"],
            point["samples"],
            *(Amount(f"{point['values'][name]:.4f}") if name in point["values"] else None for name in names),
            *curve_points.cells(point, points),
        )
        for point in points
    ]
    headings = ("store", "read", "bits/element", "trained on", "samples", *names, *curve_points.headings(points))
    text = "\n\n".join([tables(headings, rows), *curve_points.notes(points)])
    for point in document["cheapest"]:
        name, place = point["metric"], f"{point['store']}, {point['rate']}"
        text += (
            f"\n\ncheapest, trained on {point['trained_on']}: {point['bpfp']:.4g} bits per element ({place})"
            f"\n{name} {point['values'][name]:.4f}; first store {point['of_first']:.4f}"
        )
    return text
