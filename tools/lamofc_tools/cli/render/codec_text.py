"""Text of codecs, profiles, trainings and comparisons."""

from collections.abc import Sequence

from lamofc_tools.cli.console import Amount
from lamofc_tools.cli.render import curve_points
from lamofc_tools.cli.render.text import Document, facts, number, size, tables


def codecs(document: Sequence[Document]) -> str:
    """Format the table of codecs."""
    rows = [(row["id"], ", ".join(row["qualities"]) or "fixed", row["summary"]) for row in document]
    return tables(("codec", "qualities", "description"), rows)


def codec(document: Document) -> str:
    """Format the description of one codec."""
    values = {
        "codec": document["id"],
        "number": document["number"],
        "qualities": ", ".join(document["qualities"]) or "fixed",
        "options": ", ".join(document["options"]) or "none",
    }
    return f"{facts(values)}\n\n{document['summary']}\n{document['text']}"


def profile(document: Document) -> str:
    """Format the description of one profile."""
    values = {
        "profile": document["id"],
        "codec": document["codec"],
        "size": size(document["bytes"]),
        **document["config"],
    }
    rows = [(row["name"], "x".join(map(str, row["shape"])), row["dtype"]) for row in document["tensors"]]
    return f"{facts(values)}\n\n{tables(('tensor', 'shape', 'dtype'), rows)}" if rows else facts(values)


def trainings(document: Document) -> str:
    """Format the reports of one training of networks, or of several."""
    return "\n\n".join(map(_training, document.get("trainings", [document])))


def _training(document: Document) -> str:
    rows = [(*past[:4], Amount(f"{past[4]:.2g}")) for past in document["history"][-8:]]
    head = {
        "codec": document["codec"],
        "lambda": f"{document['lambda']:g}",
        "planes": document["planes"],
        "steps": document["steps"],
        "seconds": number(document["seconds"], 1),
        "weights": f"{document['weights'][:12]} in {document['file']}",
    }
    return facts(head) + "\n\n" + tables(("step", "loss", "bits", "mse of levels", "lr"), rows)


def comparison(document: Document) -> str:
    """Format a table of points for each feature and for whole samples, with notes, and the tables of papers."""
    points = [*document["points"], *document["whole_samples"]]
    headings = _columns(points)
    parts = []
    for feature in dict.fromkeys(point["feature"] for point in points):
        rows = [
            (
                *(point["coder"], point["setting"]),
                *(_cell(point, name) for name in headings.values()),
                *curve_points.cells(point, points),
            )
            for point in points
            if point["feature"] == feature
        ]
        parts.append(f"{feature}\n{tables(('coder', 'setting', *headings, *curve_points.headings(points)), rows)}")
    parts += _notes(document, points)
    for paper in document["papers"]:
        parts.append(f"{paper['title']}\n{tables(paper['columns'], paper['rows'])}")
    return "\n\n".join([*parts, document["machine"]])


_ALWAYS = {
    **{"bpfp": "bpfp", "payload": "payload_bpfp", "ebpfp": "ebpfp", "profile": "profile_bpfp"},
    **{"mse": "mse", "by levels": "quantised_mse", "snr_db": "snr_db"},
    **{"enc s": "encode_seconds", "dec s": "decode_seconds", "Mbit/s": "b_max_mbps"},
}
"""Figures of every table, by their headings."""
_WHERE_MEASURED = {
    **{"reference": "of_reference", "enc mem": "encode_bytes", "dec mem": "decode_bytes"},
    **{"enc GPU": "encode_gpu_bytes", "dec GPU": "decode_gpu_bytes"},
}
"""Figures that have a column where any point has them."""
_POOLED = {"pooled bpfp": "pooled_bpfp", "pooled payload": "pooled_payload_bpfp", "pooled mse": "pooled_mse"}
"""Ratios of sums, which have columns where samples differ in length."""
_DIGITS = {"snr_db": 2, "b_max_mbps": 1, "encode_seconds": 4, "decode_seconds": 4}
"""Digits after the point of figures that have not three."""
_SAME = 1e-9
"""Relative difference below which a mean over samples is the ratio of sums."""


def _columns(points: Sequence[Document]) -> dict[str, str]:
    """Return the figures of the tables by their headings."""
    differ = any(abs(point["bpfp"] - point["pooled_bpfp"]) > _SAME * point["bpfp"] for point in points)
    measured = {
        heading: name for heading, name in _WHERE_MEASURED.items() if any(point[name] is not None for point in points)
    }
    return {**_ALWAYS, **(_POOLED if differ else {}), **measured}


def _cell(point: Document, name: str) -> Amount | float:
    if name.endswith("_bytes"):
        return _size_or_dash(point[name])
    if name.endswith("mse"):
        value: float = point[name]
        return value
    return number(point[name], _DIGITS.get(name, 3))


def _notes(document: Document, points: Sequence[Document]) -> list[str]:
    """Say which points are in no curve, and what was not measured."""
    notes = curve_points.notes(points)
    if document["memory"] and document["gpu"] is None:
        notes.append("There is no GPU here, so that the peak of its memory was not measured.")
    return notes


def _size_or_dash(count: float | None) -> Amount:
    return Amount("-") if count is None else size(count)


def correlations(document: Document) -> str:
    """Format printed coefficients beside recomputed ones, and name those that differ."""
    rows = document["correlations"]
    columns = ("table", "set", "codec", "figure", "points", "", "printed", "recomputed", "rounding", "reproduced")
    names = ("table", "set", "codec", "performance", "points", "statistic")
    lines = [
        (
            *(row[name] for name in names),
            *(number(row[name], 4) for name in ("printed", "recomputed", "rounding")),
            "yes" if row["reproduced"] else "but for rounding" if row["explained"] else "no",
        )
        for row in rows
    ]
    different = [f"{row['table']} {row['set']} {row['codec']}" for row in rows if not row["reproduced"]]
    summary = f"{len(rows) - len(different)} of {len(rows)} coefficients are the printed ones"
    return f"{tables(columns, lines)}\n\n{summary}" + (f"; not: {', '.join(different)}" if different else "")
