"""Any rate on read: a record of several layers is read only as far as a quality needs."""

from typing import TYPE_CHECKING

import numpy as np

from lamofc_store.errors import BadArgument

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_codecs import Quality

SIZES = ("elements", "stored_bits")
COLUMNS = ("layers", "signal", "payload_bits", *SIZES)
_ON_READ = ("snr_db", "mse", "bpfp")


def on_read(quality: "Quality | None", max_bpfp: float | None = None) -> "Quality | None":
    """The one wish of a reader, checked; None for all that there is."""
    from lamofc_codecs import Quality

    if max_bpfp is not None:
        if quality is not None:
            raise BadArgument(f"max_bpfp={max_bpfp} beside {quality}", "give one of the two")
        quality = Quality(bpfp=max_bpfp)
    if quality is not None and quality.kind not in _ON_READ:
        raise BadArgument(f"{quality} cannot be chosen on reading", f"give one of {', '.join(_ON_READ)}")
    return quality


def shortened(rows: "pa.Table", quality: "Quality | None") -> "pa.Table":
    """Record rows whose `length` ends with the layer that a quality needs.

    By `snr_db` or `mse` that is the first layer that is as good, or the last one where none is; by `bpfp` the last that
    costs no more, or the first one. Records of one layer are read whole.
    """
    import pyarrow as pa

    if quality is None or not len(rows):
        return rows
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
    elements = rows["elements"].to_numpy()[record]
    sse = flat.field("sse").to_numpy(zero_copy_only=False).astype(np.float64)
    if quality.kind == "bpfp":
        enough = 8 * ends * _share(rows)[record] <= quality.value * elements
        chosen = np.maximum(np.bincount(record, enough, len(rows)).astype(np.int64), 1)
    else:
        signal = rows["signal"].to_numpy()[record]
        allowed = signal * 10 ** (-quality.value / 10) if quality.kind == "snr_db" else quality.value * elements
        short = sse > _NEARLY * allowed
        chosen = np.minimum(np.bincount(record, short, len(rows)).astype(np.int64) + 1, counts)
    length = rows["length"].to_numpy().copy()
    several = counts > 0
    length[several] = ends[(first + chosen - 1)[several]]
    place = rows.schema.get_field_index("length")
    return rows.set_column(place, rows.schema.field(place), pa.array(length))


def spent(rows: "pa.Table", shorter: "pa.Table") -> dict[str, tuple[float, int]]:
    """Bits, headers counted, and elements of each feature, of rows of which `shorter` says how much is read."""
    import pyarrow as pa

    part = shorter["length"].to_numpy() / np.maximum(rows["length"].to_numpy(), 1)
    bits = rows["stored_bits"].to_numpy() * part
    found = pa.table({"feature": rows["feature"], "bits": bits, "elements": rows["elements"]})
    sums = found.group_by("feature").aggregate([("bits", "sum"), ("elements", "sum")]).to_pylist()
    return {row["feature"]: (row["bits_sum"], row["elements_sum"]) for row in sums}


def _share(rows: "pa.Table") -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Which share of its record's bits each row answers for; headers apart, all of them but for groups."""
    share = rows["payload_bits"].to_numpy() / np.maximum(8 * rows["length"].to_numpy(), 1)
    return np.where(share > _ALONE, 1.0, share)


_ALONE = 0.8
_NEARLY = 1.03
"""What an encoder was allowed to miss a target by, a reader allows, too."""
