"""Select the layers to read: a quality needs only a prefix of a record in several layers."""

from typing import TYPE_CHECKING, Any

import numpy as np

from lamofc_store.errors import BadArgument

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_codecs import Quality

Doubles = np.ndarray[Any, np.dtype[np.float64]]

SIZE_COLUMNS = ("elements", "stored_bits")
"""The columns of record rows that `bits_to_read` needs."""
_LAYER_COLUMNS = ("layers", "signal", "payload_bits", *SIZE_COLUMNS)
"""The columns of record rows that any quality needs."""
_DIVERGENCE_COLUMNS = ("sse", "weighted_sse", "weighted_layers", "nats_per_error", "measured_kl")
"""Those that a quality in nats needs beside."""
_READ_QUALITIES = ("snr_db", "mse", "bpfp", "kl")
_UNGROUPED_SHARE = 0.8
"""A row with a larger share of its record's bits is taken to be alone in it: only headers make the difference."""
_ERROR_TOLERANCE = 1.03
"""A reader accepts an error of up to this factor above the requested one, as encoders do for their target."""


def read_quality(quality: "Quality | None", max_bpfp: float | None = None) -> "Quality | None":
    """Check the quality that a reader asks for; None reads every layer."""
    from lamofc_codecs import Quality

    if max_bpfp is not None:
        if quality is not None:
            raise BadArgument(f"max_bpfp={max_bpfp} beside {quality}", "give one of the two")
        quality = Quality(bpfp=max_bpfp)
    if not isinstance(quality, Quality | None):
        raise BadArgument(f"quality={quality!r} is no Quality", "give lamofc_store.Quality(snr_db=15)")
    if quality is not None and quality.kind not in _READ_QUALITIES:
        raise BadArgument(f"{quality} cannot be chosen on reading", f"give one of {', '.join(_READ_QUALITIES)}")
    return quality


def layer_columns(quality: "Quality") -> tuple[str, ...]:
    """Return the columns of record rows that `truncate_to_quality` needs."""
    return _LAYER_COLUMNS + _DIVERGENCE_COLUMNS if quality.kind == "kl" else _LAYER_COLUMNS


def truncate_to_quality(rows: "pa.Table", quality: "Quality | None") -> "pa.Table":
    """Shorten `length` in record rows to the end of the last layer that a quality needs.

    For `snr_db`, `mse` and `kl` this is the first layer that is good enough, or the last layer where none is. For
    `bpfp` it is the last layer within the rate, or the first layer where none is. Records of one layer keep their
    length. A divergence counts all features of a record; BadQuality where one is not known.
    """
    import pyarrow as pa

    if quality is None or not len(rows):
        return rows
    if quality.kind == "kl":
        _require_nats(rows, quality)
    layers = rows["layers"].combine_chunks()
    counts = layers.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    flat = layers.flatten()
    if not len(flat):
        return rows
    first = np.cumsum(counts) - counts
    record = np.repeat(np.arange(len(rows)), counts)
    sizes = flat.field("bytes").to_numpy(zero_copy_only=False).astype(np.int64)
    sums = np.cumsum(sizes)
    ends = sums - (sums[first[record]] - sizes[first[record]])
    if quality.kind == "bpfp":
        within = 8 * ends * _record_share(rows)[record] <= quality.value * rows["elements"].to_numpy()[record]
        needed = np.maximum(np.bincount(record, within, len(rows)).astype(np.int64), 1)
    else:
        errors = _divergences(rows, counts) if quality.kind == "kl" else _numbers(flat.field("sse"))
        too_coarse = errors > _ERROR_TOLERANCE * _allowed(rows, quality)[record]
        needed = np.minimum(np.bincount(record, too_coarse, len(rows)).astype(np.int64) + 1, counts)
    length = rows["length"].to_numpy().copy()
    layered = counts > 0
    length[layered] = ends[(first + needed - 1)[layered]]
    column = rows.schema.get_field_index("length")
    return rows.set_column(column, rows.schema.field(column), pa.array(length))


def _allowed(rows: "pa.Table", quality: "Quality") -> Doubles:
    """The error that a quality allows each row, in the quality's own units."""
    if quality.kind == "kl":
        return np.full(len(rows), quality.value)
    if quality.kind == "snr_db":
        return _numbers(rows["signal"]) * 10 ** (-quality.value / 10)
    return _numbers(rows["elements"]) * quality.value


def _divergences(rows: "pa.Table", counts: "np.ndarray[Any, np.dtype[np.int64]]") -> Doubles:
    """Expected divergence of the whole record after each layer of each row; infinite where it is not known.

    After the last layer it is the measured one where there is one.
    """
    import pyarrow.compute as pc

    weighted = rows["weighted_layers"].combine_chunks()
    known = _numbers(weighted.value_lengths().fill_null(0)) == counts
    divergences = np.full(int(counts.sum()), np.inf)
    divergences[np.repeat(known, counts)] = _numbers(pc.list_flatten(weighted.filter(known)))
    nats = np.repeat(_numbers(rows["nats_per_error"].fill_null(1.0)), counts)
    measured, errors = _numbers(rows["measured_kl"].fill_null(np.nan)), _numbers(rows["weighted_sse"].fill_null(0))
    told = np.isfinite(measured) & (errors > 0)
    nats[np.cumsum(counts)[told] - 1] = measured[told] / errors[told]
    return divergences * nats


def _require_nats(rows: "pa.Table", quality: "Quality") -> None:
    """Refuse rows with errors that are not known in nats."""
    from lamofc_codecs import BadQuality

    unknown: np.ndarray[Any, np.dtype[np.bool_]] = _numbers(rows["sse"]) > 0
    unknown &= rows["nats_per_error"].is_null().to_numpy()
    if unknown.any():
        first = int(np.flatnonzero(unknown)[0])
        sample, feature = (rows[name][first].as_py() for name in ("sample", "feature"))
        raise BadQuality(
            f"sample {sample!r}, feature {feature!r}: its errors are not known in nats, got {quality}",
            "name features that were coded for a model, or give another quality, such as snr_db=10",
        )


def _numbers(column: "pa.Array | pa.ChunkedArray") -> Doubles:
    array = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    numbers: Doubles = array.to_numpy(zero_copy_only=False).astype(np.float64)
    return numbers


def bits_to_read(rows: "pa.Table", truncated: "pa.Table") -> dict[str, tuple[float, int]]:
    """Sum the bits to read, headers included, and the elements of each feature.

    `truncated` are the same rows after `truncate_to_quality`.
    """
    import pyarrow as pa

    share = truncated["length"].to_numpy() / np.maximum(rows["length"].to_numpy(), 1)
    bits = rows["stored_bits"].to_numpy() * share
    table = pa.table({"feature": rows["feature"], "bits": bits, "elements": rows["elements"]})
    sums = table.group_by("feature").aggregate([("bits", "sum"), ("elements", "sum")]).to_pylist()
    return {row["feature"]: (row["bits_sum"], row["elements_sum"]) for row in sums}


def _record_share(rows: "pa.Table") -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """The share of a record's bits that each row accounts for: all of them, unless the record holds a group."""
    share = rows["payload_bits"].to_numpy() / np.maximum(8 * rows["length"].to_numpy(), 1)
    return np.where(share > _UNGROUPED_SHARE, 1.0, share)
