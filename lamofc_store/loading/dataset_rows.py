"""The rows behind a dataset: its names are checked, and its samples brought into one order for all features."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import BadArgument, NotFound

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_store.session import Session

Target = str | Sequence[str] | Callable[[str], Any]

FUNCTION_TARGET = "target"
"""The name in an item of the value that a callable target returns."""


def target_columns(target: Target | None) -> list[str]:
    """List the columns that a target names; a callable names none."""
    if target is None or callable(target):
        return []
    return [target] if isinstance(target, str) else list(target)


def check_names(store: "Session", features: Sequence[str], target: Target | None) -> None:
    """Check that the store has the features and the target's columns, and that an item can hold all of them."""
    if not features or len(set(features)) < len(features):
        raise BadArgument(
            f"features={list(features)!r} names none or one twice", f"the store has {', '.join(store.features)}"
        )
    unknown = sorted(set(features) - set(store.features))
    if unknown:
        raise NotFound(
            f"there is no feature {unknown[0]!r}; the store has {', '.join(store.features)}",
            f"lamofc info {store.url}",
        )
    columns = target_columns(target)
    names = [*features, *columns, "sample", *([FUNCTION_TARGET] if callable(target) else [])]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise BadArgument(
            f"an item would hold two values named {repeated[0]!r}", "name a target otherwise: lamofc annotate"
        )
    store_columns = list(store.snapshot.columns)
    missing = [column for column in columns if column not in (*store_columns, "structure")]
    if missing:
        raise NotFound(
            f"there is no column {missing[0]!r}; columns are {', '.join(sorted(store_columns)) or 'none'}",
            f"name one of these, or add it: lamofc annotate {store.url} TABLE",
        )


def aligned_tables(rows: "pa.Table", features: Sequence[str]) -> "dict[str, pa.Table]":
    """Split record rows into one table a feature, all of the same samples in the same order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = {feature: rows.filter(pc.equal(rows["feature"], feature)) for feature in features}
    if len(features) > 1:
        common = tables[features[0]]["sample"]
        for feature in features[1:]:
            common = common.filter(pc.is_in(common, tables[feature]["sample"].combine_chunks()))
        shared_samples = common.combine_chunks() if isinstance(common, pa.ChunkedArray) else common
        tables = {feature: table.filter(pc.is_in(table["sample"], shared_samples)) for feature, table in tables.items()}
    return {feature: table.sort_by("sample").combine_chunks() for feature, table in tables.items()}
