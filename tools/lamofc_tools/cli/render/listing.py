"""Lists of what a store holds: columns, and rows that are read while they are printed."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from lamofc_store.errors import NotFound

if TYPE_CHECKING:
    import duckdb

    from lamofc_store import Store

Rows: TypeAlias = tuple[Sequence[str], Iterator[Sequence[Any]]]

_BATCH = 10_000
_SAMPLES = """
    SELECT sample, features, raw_bytes, stored_bytes, own.* EXCLUDE (sample, structure)
    FROM (SELECT * FROM samples WHERE (
        {where}
    )) AS own
    LEFT JOIN (
        SELECT sample, count(*) AS features, CAST(sum(raw_bytes) AS BIGINT) AS raw_bytes,
            CAST(sum(stored_bits) // 8 AS BIGINT) AS stored_bytes
        FROM records GROUP BY sample
    ) USING (sample)
    ORDER BY sample {limit}
"""
_FEATURES = """
    SELECT
        feature, shape, dtype, codec, quality, raw_bytes, CAST(stored_bits // 8 AS BIGINT) AS stored_bytes,
        bpfp, snr_db
    FROM records WHERE sample = ? ORDER BY feature
"""
_COMMITS = ("n", "time", "verb", "samples", "records", "bytes", "writer")


def samples(store: "Store", where: str | None, limit: int | None) -> Rows:
    """The samples by id, with their sizes and the user's columns."""
    if where is not None:
        store.sql(f"FROM samples WHERE (\n{where}\n)")  # bound, not run: an error then names the condition alone
    rows = "" if limit is None else f"LIMIT {limit:d}"
    return fetched(store.sql(_SAMPLES.format(where=where or "true", limit=rows)), where or "")


def features(store: "Store", sample: str) -> Rows:
    """The features of one sample."""
    columns, rows = fetched(store.sql(_FEATURES, [sample]), sample)
    found = list(rows)
    if not found:
        raise NotFound(f"there is no sample {sample!r} in {store.url}", f"lamofc ls {store.url}")
    return columns, iter(found)


def commits(store: "Store", limit: int | None) -> Rows:
    """The commits, newest first."""
    return _COMMITS, ([commit[name] for name in _COMMITS] for commit in store.log()[:limit])


def fetched(relation: "duckdb.DuckDBPyRelation", query: str) -> Rows:
    """The rows of a relation, a batch at a time; what goes wrong in DuckDB is told of `query`."""
    return relation.columns, _fetched(relation, query)


def _fetched(relation: "duckdb.DuckDBPyRelation", query: str) -> Iterator[Sequence[Any]]:
    import pyarrow as pa

    from lamofc_catalog import BadQuery, translated

    with translated(query):
        batches = pa.RecordBatchReader.from_stream(relation)
    try:
        for batch in batches:
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
    except (pa.ArrowException, OSError) as error:  # what DuckDB says once rows are flowing comes through Arrow
        raise BadQuery(f"{str(error).splitlines()[0]} (in: {query})") from error
