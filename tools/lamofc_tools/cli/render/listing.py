"""Lists of samples, features and commits of a store: columns, and rows that are read while they are printed."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from lamofc_store.errors import NotFound

if TYPE_CHECKING:
    import duckdb

    from lamofc_store import Store

Rows: TypeAlias = tuple[Sequence[str], Iterator[Sequence[Any]]]

_GLOB_LETTERS = frozenset("*?[")
_SAMPLES = """
    SELECT sample, features, raw_bytes, stored_bytes, own.* EXCLUDE (sample, structure)
    FROM (SELECT * FROM samples WHERE (
        {where}
    ) AND sample GLOB ?) AS own
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
        bpfp, snr_db, expected_kl, measured_kl
    FROM records WHERE sample = ? ORDER BY feature
"""
_WHERE_KNOWN = ("expected_kl", "measured_kl")
"""Columns of features that are left out where they are null for each."""
_COMMITS = ("n", "time", "verb", "samples", "records", "bytes", "writer")


def samples_or_features(store: "Store", sample: str | None, where: str | None, limit: int | None) -> Rows:
    """List the features of a sample; or, without an id or with a glob that is no id, the samples."""
    if sample is None:
        return samples(store, where, limit)
    if _GLOB_LETTERS.isdisjoint(sample) or store.sql("FROM samples WHERE sample = ?", [sample]).fetchall():
        return features(store, sample)
    if not store.sql("FROM samples WHERE sample GLOB ? LIMIT 1", [sample]).fetchall():
        raise NotFound(f"no sample of {store.url} matches {sample!r}", f"lamofc ls {store.url}")
    return samples(store, where, limit, sample)


def samples(store: "Store", where: str | None, limit: int | None, glob: str | None = None) -> Rows:
    """List samples by id, with their sizes and the user's columns; only those that match a glob, if one is given."""
    if where is not None:
        store.sql(f"FROM samples WHERE (\n{where}\n)")  # bound, not run, so that an error names the condition alone
    clause = "" if limit is None else f"LIMIT {limit:d}"
    query = _SAMPLES.format(where=where or "true", limit=clause)
    return fetch(store.sql(query, ["*" if glob is None else glob]), where or "")


def features(store: "Store", sample: str) -> Rows:
    """List the features of one sample."""
    columns, rows = fetch(store.sql(_FEATURES, [sample]), sample)
    listed = list(rows)
    if not listed:
        raise NotFound(f"there is no sample {sample!r} in {store.url}", f"lamofc ls {store.url}")
    shown = [
        at for at, name in enumerate(columns) if name not in _WHERE_KNOWN or any(row[at] is not None for row in listed)
    ]
    return [columns[at] for at in shown], ([row[at] for at in shown] for row in listed)


def commits(store: "Store", limit: int | None) -> Rows:
    """List commits, newest first."""
    return _COMMITS, ([commit[name] for name in _COMMITS] for commit in store.log()[:limit])


def fetch(relation: "duckdb.DuckDBPyRelation", query: str) -> Rows:
    """Read the rows of a relation, a batch at a time; errors of DuckDB name `query`."""
    return relation.columns, _read_batches(relation, query)


def _read_batches(relation: "duckdb.DuckDBPyRelation", query: str) -> Iterator[Sequence[Any]]:
    import pyarrow as pa

    from lamofc_catalog import BadQuery, translated

    with translated(query):
        batches = pa.RecordBatchReader.from_stream(relation)
    try:
        for batch in batches:
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
    except (pa.ArrowException, OSError) as error:  # errors of DuckDB come through Arrow once rows are being read
        cure = "ask for fewer rows or allow more seconds" if "Interrupted" in str(error) else ""
        raise BadQuery(f"{str(error).splitlines()[0]} (in: {query})", cure) from error
