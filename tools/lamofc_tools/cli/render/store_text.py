"""Text of stores, ingests and maintenance."""

from collections.abc import Sequence

from lamofc_tools.cli.render.text import Document, counted, facts, number, size, tables


def plan(document: Document) -> str:
    """Format what an ingest would do."""
    groups = list(dict.fromkeys(row["group"] for row in document["features"] if row["group"]))
    rows = [
        (
            row["feature"],
            "x".join(map(str, row["shape"])) or "scalar",
            row["dtype"],
            row["pattern"],
            f"{row['tokens']} x {row['channels']}",
            row["grid"],
            *((groups.index(row["group"]) + 1 if row["group"] else None,) if groups else ()),
        )
        for row in document["features"]
    ]
    columns = ("feature", "shape", "dtype", "pattern", "tokens x channels", "grid", *(("group",) if groups else ()))
    coding = f"codec {document['codec']}" + (f", {document['quality']}" if document["quality"] else "")
    grouping = "features of one group are coded together" if groups else "each feature is coded by itself"
    return f"{document['source']}\n{coding}; {grouping}\n\n{tables(columns, rows)}"


def _shared(document: Document) -> dict[str, str]:
    """Format the saving by equal features of several samples, where there were any."""
    if not document["shared"]:
        return {}
    return {"equal, stored once": f"{document['shared']}, {size(document['shared_bytes'])} less"}


def ingest(document: Document) -> str:
    """Format the report of an ingest: its records, then the whole store with profiles and rows."""
    raw, stored, store = document["raw_bytes"], document["stored_bytes"], document["store"]
    values = {
        "samples": document["samples"],
        "records": document["records"],
        "already stored": document["already"],
        **_shared(document),
        "skipped": document["skipped"],
        "raw": size(raw),
        "stored": f"{size(stored)} of records{_smaller(document['ratio'])}",
        "whole store": f"{size(store['bytes'])} with profiles and rows{_smaller(store['ratio'])}",
        "seconds": number(document["seconds"]),
        "speed": f"{document['gb_per_second']:.3f} GB/s of source",
        "commits": _span(document["commits"]),
    }
    return facts(values)


def _smaller(ratio: float | None) -> str:
    return f"  ({ratio:.1f} x smaller than its source)" if ratio else ""


def _span(commits: Sequence[int]) -> str:
    if len(commits) > 2 and commits[-1] - commits[0] == len(commits) - 1:
        return f"{commits[0]} to {commits[-1]}"
    return ", ".join(map(str, commits)) or "none"


def profiles(document: Document) -> str:
    """Format the table of files with fitted profiles."""
    rows = [
        (row["feature"], row["codec"], row["id"][:12], size(row["bytes"]), row["file"]) for row in document["profiles"]
    ]
    return tables(("feature", "codec", "profile", "size", "file"), rows)


def store(document: Document) -> str:
    """Format the summary of a store, a table of its features, their means over samples, and what is left uncoded."""
    counts = (counted(document["samples"], "sample"), counted(document["records"], "record"))
    segments = f"in {counted(document['segments'], 'segment')}, {size(document['bytes'])}"
    summary = f"{document['url']}  commit {document['head']}, {', '.join(counts)} {segments}"
    rows = document["features"]
    if not rows:
        return summary
    if len(rows) > 1:
        rows = [*rows, {"feature": "whole samples", **document["totals"]}]
    return "\n\n".join([summary, _ratios_of_sums(rows), _means_over_samples(rows), *_larger_than_raw(rows)])


def _ratios_of_sums(rows: Sequence[Document]) -> str:
    columns = ("feature", "codec", "samples", "elements", "raw", "stored", "bpfp", "ebpfp", "mse", "snr_db", "profile")
    lines = [
        (
            row["feature"],
            row.get("codec"),
            row["samples"],
            row["elements"],
            None if row["raw_bytes"] is None else size(row["raw_bytes"]),
            size(row["stored_bytes"]),
            number(row["bpfp"]),
            number(row["ebpfp"]),
            row["mse"],
            number(row["snr_db"]) if "snr_db" in row else None,
            size(row["profile_bytes"]) if "profile_bytes" in row else None,
        )
        for row in rows
    ]
    return tables(columns, lines)


def _means_over_samples(rows: Sequence[Document]) -> str:
    columns = ("payload bpfp", "payload ebpfp", "mean bpfp", "mean ebpfp", "mean payload bpfp", "mean mse")
    lines = [
        (row["feature"], *(number(row[name.replace(" ", "_")]) for name in columns[:-1]), row["mean_mse"])
        for row in rows
    ]
    return tables(("feature", *columns), lines)


def _larger_than_raw(rows: Sequence[Document]) -> list[str]:
    """Tell whose records a codec would have made larger than lossless ones, and which are larger than their source."""
    notes = {
        "fallbacks": "are stored losslessly, because the codec's record would be larger or would miss its quality",
        "expanded": "are larger than their source",
    }
    lines = [
        f"{row['feature']}: {row[name]} of {counted(row['samples'], 'record')} {note}"
        for row in rows
        for name, note in notes.items()
        if row[name] and "codec" in row
    ]
    return ["\n".join(lines)] if lines else []


def tensors(document: Document) -> str:
    """Format the decoded features of a sample, and the file that they were written to."""
    rows = [
        (
            row["feature"],
            "x".join(map(str, row["shape"])) or "scalar",
            row["dtype"],
            row["least"],
            row["mean"],
            row["most"],
        )
        for row in document["features"]
    ]
    text = tables(("feature", "shape", "dtype", "least", "mean", "most"), rows)
    return f"{text}\nwritten to {document['file']}" if document["file"] else text


def verification(document: Document) -> str:
    """Format the counts of a verification, with the problems that it found and its notes."""
    counts = f"{counted(document['objects'], 'object')}, {counted(document['records'], 'record')}"
    verdict = "all checksums are right" if document["ok"] else counted(len(document["problems"]), "problem")
    notes = f", {counted(len(document['notes']), 'note')}" if document["notes"] else ""
    rows = [(entry["object"], entry["what"]) for entry in (*document["problems"], *document["notes"])]
    summary = f"{counts}, {size(document['bytes'])} read; {verdict}{notes}"
    return summary + (f"\n\n{tables(('object', 'problem'), rows)}" if rows else "")


def compaction(document: Document) -> str:
    """Format the report of a compaction."""
    if not document["segments"]:
        return "nothing to compact"
    before = f"{counted(document['segments'], 'segment')} of {size(document['bytes_before'])}"
    after = f"{document['written']} of {size(document['bytes_after'])}, {counted(document['records'], 'record')}"
    return (
        f"{before} became {after}, commit {document['commit']}\nthe old bytes stay for older snapshots until lamofc gc"
    )


def collection(document: Document) -> str:
    """Format the report of a garbage collection."""
    verb = "would be deleted" if document["dry_run"] else "deleted"
    lines = [f"{counted(document['objects'], 'object')}, {size(document['bytes'])} {verb}"]
    if document["expired"]:
        lines.append(f"snapshots before commit {document['expired']} can no longer be read")
    return "\n".join(lines)


def export(document: Document) -> str:
    """Format the report of an export."""
    written = f"{counted(document['files'], 'file')} of {size(document['bytes'])} written now"
    return f"{counted(document['samples'], 'sample')} in {document['folder']}: {written}, columns in index.parquet"


def forget(document: Document) -> str:
    """Format the report of a forget."""
    counts = f"{counted(document['samples'], 'sample')}, {counted(document['records'], 'record')}"
    return f"{counts} forgotten, commit {document['commit']}\n{document['note']}"
