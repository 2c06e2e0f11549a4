"""Stores, ingests and maintenance as text for people."""

from collections.abc import Sequence

from lamofc_tools.cli.render.text import Document, counted, facts, number, size, tables


def plan(document: Document) -> str:
    """What an ingest would do."""
    groups = list(dict.fromkeys(found["group"] for found in document["features"] if found["group"]))
    rows = [
        (
            found["feature"],
            "x".join(map(str, found["shape"])) or "scalar",
            found["dtype"],
            found["pattern"],
            f"{found['tokens']} x {found['channels']}",
            found["grid"],
            *((groups.index(found["group"]) + 1 if found["group"] else None,) if groups else ()),
        )
        for found in document["features"]
    ]
    columns = ("feature", "shape", "dtype", "pattern", "tokens x channels", "grid", *(("group",) if groups else ()))
    asked = f"codec {document['codec']}" + (f", {document['quality']}" if document["quality"] else "")
    how = "features of one group are coded together" if groups else "each feature is coded by itself"
    return f"{document['source']}\n{asked}; {how}\n\n{tables(columns, rows)}"


def _shared(document: Document) -> dict[str, str]:
    """What equal features of several samples saved, where there were any."""
    if not document["shared"]:
        return {}
    return {"equal, kept once": f"{document['shared']}, {size(document['shared_bytes'])} less"}


def report(document: Document) -> str:
    """What an ingest did."""
    raw, stored = document["raw_bytes"], document["stored_bytes"]
    told = {
        "samples": document["samples"],
        "records": document["records"],
        "already there": document["already"],
        **_shared(document),
        "skipped": document["skipped"],
        "raw": size(raw),
        "stored": size(stored) + (f"  ({document['ratio']:.1f} x smaller)" if document["ratio"] else ""),
        "seconds": number(document["seconds"]),
        "speed": f"{document['gb_per_second']:.3f} GB/s of source",
        "commits": _span(document["commits"]),
    }
    return facts(told)


def _span(commits: Sequence[int]) -> str:
    if len(commits) > 2 and commits[-1] - commits[0] == len(commits) - 1:
        return f"{commits[0]} to {commits[-1]}"
    return ", ".join(map(str, commits)) or "none"


def profiles(document: Document) -> str:
    """Where fitted profiles were written."""
    rows = [
        (row["feature"], row["codec"], row["id"][:12], size(row["bytes"]), row["file"]) for row in document["profiles"]
    ]
    return tables(("feature", "codec", "profile", "size", "file"), rows)


def store(document: Document) -> str:
    """What a store holds."""
    held = (counted(document["samples"], "sample"), counted(document["records"], "record"))
    segments = f"in {counted(document['segments'], 'segment')}, {size(document['bytes'])}"
    head = f"{document['url']}  commit {document['head']}, {', '.join(held)} {segments}"
    columns = ("feature", "codec", "samples", "elements", "raw", "stored", "bpfp", "ebpfp", "mse", "snr_db", "profile")
    rows = [
        (
            row["feature"],
            row["codec"],
            row["samples"],
            row["elements"],
            size(row["raw_bytes"]),
            size(row["stored_bytes"]),
            number(row["bpfp"]),
            number(row["ebpfp"]),
            row["mse"],
            number(row["snr_db"]),
            size(row["profile_bytes"]),
        )
        for row in document["features"]
    ]
    return f"{head}\n\n{tables(columns, rows)}" if rows else head


def tensors(document: Document) -> str:
    """Features of a sample, and the file that they were written to."""
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
    shown = tables(("feature", "shape", "dtype", "least", "mean", "most"), rows)
    return f"{shown}\nwritten to {document['file']}" if document["file"] else shown


def verification(document: Document) -> str:
    """What a verification read and found."""
    read = f"{counted(document['objects'], 'object')}, {counted(document['records'], 'record')}"
    told = f"{read}, {size(document['bytes'])} read"
    verdict = "all checksums are right" if document["ok"] else counted(len(document["problems"]), "problem")
    notes = f", {counted(len(document['notes']), 'note')}" if document["notes"] else ""
    rows = [(entry["object"], entry["what"]) for entry in (*document["problems"], *document["notes"])]
    return f"{told}; {verdict}{notes}" + (f"\n\n{tables(('object', 'what'), rows)}" if rows else "")


def compaction(document: Document) -> str:
    """What a compaction did."""
    if not document["segments"]:
        return "nothing to compact"
    before = f"{counted(document['segments'], 'segment')} of {size(document['bytes_before'])}"
    after = f"{document['written']} of {size(document['bytes_after'])}, {counted(document['records'], 'record')}"
    return (
        f"{before} became {after}, commit {document['commit']}\nthe old bytes stay for older snapshots until lamofc gc"
    )


def collection(document: Document) -> str:
    """What a collection deleted."""
    what = "would be deleted" if document["dry_run"] else "deleted"
    lines = [f"{counted(document['objects'], 'object')}, {size(document['bytes'])} {what}"]
    if document["expired"]:
        lines.append(f"snapshots before commit {document['expired']} can no longer be read")
    return "\n".join(lines)


def exported(document: Document) -> str:
    """What an export left behind."""
    written = f"{counted(document['files'], 'file')} of {size(document['bytes'])} written now"
    return f"{counted(document['samples'], 'sample')} in {document['folder']}: {written}, columns in index.parquet"


def forgotten(document: Document) -> str:
    """What a forget did."""
    what = f"{counted(document['samples'], 'sample')}, {counted(document['records'], 'record')} forgotten"
    return f"{what}, commit {document['commit']}\n{document['note']}"
