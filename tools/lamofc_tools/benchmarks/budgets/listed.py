"""The budgets, in the order of the table, and the arguments that their benchmarks are run with."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence

from lamofc_tools.benchmarks.budgets.budget import Budget, Document
from lamofc_tools.benchmarks.entropy_coders import TABLE_RANGES
from lamofc_tools.benchmarks.store import records, startup, store

ARGUMENTS: Mapping[str, Sequence[str]] = {
    "cpu": ("--aims", "10", "--fitted", "64", "--shapes", "1029 x 1024,1029 x 4096", "--rounds", "5"),
    "group": ("--fits", "1", "--rounds", "3"),
    "records": (),
    "store": (),
    "small": (),
    "vectors": (),
    "memory": (),
    "large": (),
    "startup": (),
}
"""Arguments of each benchmark, by its name. Benchmarks that train take hours, and have results of their own."""


def _at(*keys: object) -> Callable[[Document], float]:
    """Return the figure at keys of a document that lie within each other."""
    return lambda document: float(functools.reduce(operator.getitem, keys, document))  # type: ignore[arg-type]


def _of_row(key: str, **chosen: object) -> Callable[[Document], float]:
    """Return a figure of the one row whose columns have these values."""

    def read(document: Document) -> float:
        rows = [row for row in document["rows"] if all(row.get(name) == value for name, value in chosen.items())]
        (row,) = rows
        return float(row[key])

    return read


_NARROW, _WIDE = {"shape": "1029 x 1024", "coder": "klt"}, {"shape": "1029 x 4096", "coder": "klt"}
BUDGETS: Sequence[Budget] = (
    Budget("decode klt, 10 dB, 1029 x 1024", "cpu", _of_row("decode_gb_s", **_NARROW), 1.0, "GB/s", limit="memory"),
    Budget("decode klt, 10 dB, 1029 x 4096", "cpu", _of_row("decode_gb_s", **_WIDE), 1.0, "GB/s", limit="memory"),
    Budget("the same against CompressAI", "cpu", _of_row("times_hyperprior", **_NARROW), 100.0, "times"),
    Budget("encode klt, 1029 x 1024", "cpu", _of_row("encode_gb_s", **_NARROW), 0.2, "GB/s", limit="memory"),
    Budget("fit klt, 64 x 1029 x 1024", "cpu", _of_row("fit_s", **_NARROW), 12.0, "s", at_most=True),
    Budget("fit a group of 3200 channels", "group", _of_row("speed", verb="fit"), 20.0, "s", at_most=True),
    Budget("encode the group", "group", _of_row("speed", verb="encode"), 50.0, "MB/s"),
    Budget("decode the group", "group", _of_row("speed", verb="decode"), 0.3, "GB/s", limit="memory"),
    Budget("decode a text of 98 kB", "small", _of_row("together_ms", aim_db=10.0), 0.5, "ms", at_most=True),
    Budget("shuffled vectors", "vectors", _of_row("at_random", block=64), 10_000, "a second"),
    Budget(
        "fetch records of 8 kB",
        "records",
        _at("records", "8000", "store"),
        records.BUDGETS["records_a_second_at_8000"],
        "a second",
    ),
    Budget(
        "the same against Zarr",
        "records",
        _at("records", "8000", "times"),
        records.BUDGETS["times_zarr_at_8000"],
        "times",
    ),
    Budget(
        "entropy decode against CompressAI",
        "records",
        _at("coder", next(iter(TABLE_RANGES)), "decode_times"),
        records.BUDGETS["decode_times_compressai"],
        "times",
    ),
    Budget("open 10^6 samples", "store", _at("fresh process", "open"), store.BUDGETS["open_s"], "s", at_most=True),
    Budget(
        "aggregate 10^7 rows",
        "store",
        _at("warm", "avg(bpfp) by feature"),
        store.BUDGETS["aggregate_s"],
        "s",
        at_most=True,
    ),
    Budget(
        "ingest 0.5 GB by raw, memory beside it",
        "large",
        _of_row("beside_gb", codec="raw", verb="ingest"),
        0.5,
        "GB",
        at_most=True,
    ),
    Budget(
        "ingest 0.5 GB by klt, memory beside it",
        "large",
        _of_row("beside_gb", codec="klt", verb="ingest"),
        0.5,
        "GB",
        at_most=True,
    ),
    Budget(
        "read 0.5 GB of klt, memory beside it",
        "large",
        _of_row("beside_gb", codec="klt", verb="read"),
        0.5,
        "GB",
        at_most=True,
    ),
    Budget(
        "decoder's memory beside 3141 x 4096",
        "memory",
        lambda document: float(document["added_bytes"]) / 1e9,
        0.2,
        "GB",
        at_most=True,
    ),
    *(
        Budget(f"lamofc {name}", "startup", _at("seconds", name), bound, "s", at_most=True)
        for name, bound in startup.BUDGETS.items()
    ),
)
