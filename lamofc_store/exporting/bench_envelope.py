"""What a store knows of a sample's coding, in the envelope that LaMoFCBench's evaluation scripts read it from.

`bpfp` and `enc_bytes` are of payloads, as the papers count them, without headers; `stored_bpfp` is of all bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from lamofc_store.sample import ENVELOPE_KEYS

FIGURES = (
    "SELECT sample, feature, shape, dtype, elements, payload_bits, stored_bits, sse, codec, quality, raw_bytes"
    " FROM records"
)
"""What is asked of the catalog."""


def enveloped(structure: str | None, sample: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """The structure of a sample within an envelope; in place of what an envelope of its own said before."""
    listed = sorted(rows, key=lambda row: str(row["feature"]))
    if structure is None:
        inner: Any = {"dict": [[row["feature"], {"tensor": row["feature"]}] for row in listed]}
    else:
        inner = json.loads(structure)
        inside = dict(inner.get("dict", ()))
        if set(inside) == set(ENVELOPE_KEYS):
            inner = inside[ENVELOPE_KEYS[0]]
    told = {**{row["feature"]: _tensor(row) for row in listed}, **_whole(sample, listed)}
    figures = {"dict": [[name, _node(value)] for name, value in told.items()]}
    nodes = [list(pair) for pair in zip(ENVELOPE_KEYS, (inner, figures), strict=True)]
    return json.dumps({"dict": nodes}, ensure_ascii=False, separators=(",", ":"))


def _whole(sample: str, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    elements = max(sum(row["elements"] for row in rows), 1)
    payload = sum(row["payload_bits"] for row in rows)
    scaled = sum(row["payload_bits"] * 32 * row["elements"] / max(8 * row["raw_bytes"], 1) for row in rows)
    return {
        "input_file": sample,
        "arch": "+".join(sorted({row["codec"] for row in rows})),
        "strategy": "individual",
        "transform_type": "+".join(sorted({row["quality"] for row in rows if row["quality"]})),
        "bpfp": payload / elements,
        "ebpfp": scaled / elements,
        "stored_bpfp": sum(row["stored_bits"] for row in rows) / elements,
        "mse": sum(row["sse"] for row in rows) / elements,
    }


def _tensor(row: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    elements = max(row["elements"], 1)
    return {
        "ori_shape": {"size": list(row["shape"])},
        "ori_dtype": {"dtype": row["dtype"]},
        "ori_bytes": getattr(torch, row["dtype"]).itemsize,
        "ori_numel": row["elements"],
        "enc_bytes": row["payload_bits"] / 8,
        "enc_bpfp": row["payload_bits"] / elements,
        "final_mse": row["sse"] / elements,
    }


def _node(value: Any) -> dict[str, Any]:
    """A value as a node of a structure; sizes and dtypes are nodes already."""
    if isinstance(value, dict):
        if set(value) in ({"size"}, {"dtype"}):
            return value
        return {"dict": [[name, _node(inner)] for name, inner in value.items()]}
    return {"value": value}
