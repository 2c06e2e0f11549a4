"""Text of codecs, profiles, trainings and comparisons."""

from collections.abc import Sequence

from lamofc_tools.cli.console import Amount
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
    """Format a table of points for each feature, and the tables of papers."""
    columns = ("coder", "setting", "bpfp", "ebpfp", "profile", "mse", "by levels", "snr_db", "enc s", "dec s", "Mbit/s")
    reference = any(point["of_reference"] is not None for point in document["points"])
    memory = any(point["decode_bytes"] is not None for point in document["points"])
    parts = []
    for feature in dict.fromkeys(point["feature"] for point in document["points"]):
        rows = [
            (
                *(point["coder"], point["setting"], number(point["bpfp"], 3), number(point["ebpfp"], 3)),
                *(number(point["profile_bpfp"], 3), point["mse"], point["quantised_mse"], number(point["snr_db"])),
                *(number(point["encode_seconds"], 4), number(point["decode_seconds"], 4)),
                number(point["b_max_mbps"], 1),
                *([number(point["of_reference"], 3)] if reference else []),
                *([_size_or_dash(point["encode_bytes"]), _size_or_dash(point["decode_bytes"])] if memory else []),
            )
            for point in document["points"]
            if point["feature"] == feature
        ]
        extra_columns = (*(("reference",) if reference else ()), *(("enc mem", "dec mem") if memory else ()))
        parts.append(f"{feature}\n{tables((*columns, *extra_columns), rows)}")
    for paper in document["papers"]:
        parts.append(f"{paper['title']}\n{tables(paper['columns'], paper['rows'])}")
    return "\n\n".join([*parts, document["machine"]])


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
