"""Rows of the catalog tables `records`, `samples` and `skipped`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lamofc_store.ingest.items import Item
from lamofc_store.ingest.records.encode_items import Failed
from lamofc_store.ingest.records.encoded import Encoded
from lamofc_store.sample import Sample

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_codecs import Item as CodedItem
    from lamofc_codecs import Part


def record_rows(encoded: Encoded) -> list[dict[str, Any]]:
    """Make a row for each item of a record, without its place in the segment."""
    record, items = encoded.record, encoded.items
    if len(items) == 1:
        return [_with_divergence(_record_row(items[0], encoded), items[0], encoded)]
    cell, figures = ("part", record.parts) if record.parts else ("item", record.items)
    rows = [
        {**_record_row(item, encoded), cell: number, **_cell_figures(encoded, figures[number])}
        for number, item in enumerate(items)
    ]
    return [_with_divergence(row, item, encoded) for row, item in zip(rows, items, strict=True)]


def _record_row(item: Item, encoded: Encoded) -> dict[str, Any]:
    record = encoded.record
    layers = [{"bytes": layer.bytes, "sse": layer.sse} for layer in record.layers]
    weighted = [layer.weighted_sse for layer in record.layers]
    return {
        "sample": item.sample,
        "feature": item.feature,
        "item": 0,
        "part": 0,
        "layers": _if_several(layers),
        "weighted_layers": _if_several([sse for sse in weighted if sse is not None]),
        "shape": list(item.shape),
        "dtype": item.dtype,
        "pattern": item.pattern,
        "grid": item.grid,
        "codec": record.codec,
        "quality": encoded.quality,
        "profile": encoded.profile.id,
        "source_hash": item.source_hash,
        "elements": item.tokens.numel(),
        "sum": record.sum,
        "sum_sq": record.sum_sq,
        "sse": record.sse,
        "max_error": record.max_error,
        "signal": record.signal,
        "bulk_sse": record.bulk_sse,
        "weighted_sse": record.weighted_sse,
        "payload_bits": record.payload_bits,
        "encode_seconds": encoded.seconds,
    }


def _if_several(layers: list[Any]) -> list[Any] | None:
    """Return what is said of each layer; None of a single one, of which the whole row speaks."""
    return layers if len(layers) > 1 else None


def _with_divergence(row: dict[str, Any], item: Item, encoded: Encoded) -> dict[str, Any]:
    """Add the divergence of the row's errors: nats for each unit of them, and what was measured.

    Where the divergence of a record was measured, its errors amount to that; where it was guided, those of its last
    layer alone.
    """
    foretold, error = encoded.nats_per_error(item), encoded.record.weighted_sse
    if encoded.divergence is None:
        return {**row, "nats_per_error": foretold, "measured_kl": None}
    nats = encoded.divergence / error if error else foretold
    measured = (nats or 0.0) * row["weighted_sse"]
    return {**row, "nats_per_error": foretold if encoded.guided else nats, "measured_kl": measured}


def _cell_figures(encoded: Encoded, cell: "Part | CodedItem") -> dict[str, Any]:
    """Return the figures of one feature, or one sample, of a record; payload bits are divided by elements.

    The layers of a group are read for all its features together, so weighted errors of layers are those of the record.
    """
    record = encoded.record
    layers = [{"bytes": layer.bytes, "sse": sse} for layer, sse in zip(record.layers, cell.layers, strict=True)]
    of_items = {"weighted_layers": _if_several(list(cell.weighted_layers))} if record.items else {}
    return {
        **of_items,
        "layers": _if_several(layers),
        "sum": cell.sum,
        "sum_sq": cell.sum_sq,
        "sse": cell.sse,
        "max_error": cell.max_error,
        "signal": cell.signal,
        "bulk_sse": cell.bulk_sse,
        "weighted_sse": cell.weighted_sse,
        "payload_bits": record.payload_bits * cell.elements // max(record.elements, 1),
    }


def sample_rows(samples: Mapping[str, Sample]) -> "pa.Table":
    """Make rows of samples: id, structure, then the user's columns in the order in which they first appear."""
    import pyarrow as pa

    from lamofc_store.errors import SchemaConflict

    names = list(dict.fromkeys(name for sample in samples.values() for name in sample.attributes))
    arrays = [
        pa.array(list(samples), pa.string()),
        pa.array([sample.structure for sample in samples.values()], pa.string()),
    ]
    for name in names:
        values = [sample.attributes.get(name) for sample in samples.values()]
        try:
            arrays.append(pa.array(values))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise SchemaConflict(
                f"column {name!r} mixes types: {error}", "give each column values of one type"
            ) from error
    return pa.table(dict(zip(["sample", "structure", *names], arrays, strict=True)))


def skipped_row(failure: Failed, source: str) -> dict[str, Any]:
    """Make the row of a sample that is left out."""
    return {
        "sample": failure.sample,
        "feature": failure.feature,
        "source": source,
        "error": type(failure.error).__name__,
        "message": str(failure.error),
    }
