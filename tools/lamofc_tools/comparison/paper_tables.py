"""Tables of the papers, as published, to stand beside measured figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from lamofc_store.errors import BadArgument

_RATES_AND_ERRORS = ("BPFP", "EBPFP", "MSE", "B_max", "Enc", "Dec")
"""Figures of a data set that are no performance of its task."""


@lru_cache(maxsize=1)
def paper_tables() -> dict[str, dict[str, Any]]:
    """Read all tables by name, such as `lamofcbench-7`: title, columns, and rows of numbers, texts and nulls."""
    text = files("lamofc_tools.comparison").joinpath("paper_tables.json").read_text(encoding="utf-8")
    tables: dict[str, dict[str, Any]] = json.loads(text)
    return tables


def paper_table(name: str) -> dict[str, Any]:
    """Return one table by name."""
    tables = paper_tables()
    if name not in tables:
        raise BadArgument(f"there is no table {name!r}; there are {', '.join(tables)}", "--paper lamofcbench-7")
    return tables[name]


def columns_of(table: Mapping[str, Any], set_name: str) -> dict[str, int]:
    """Return the places of the columns of one data set by their figures; all but the first where none is named."""
    if not set_name:
        return {column: place for place, column in enumerate(table["columns"]) if place}
    prefix = f"{set_name} "
    return {
        column.removeprefix(prefix): place for place, column in enumerate(table["columns"]) if column.startswith(prefix)
    }


def is_performance(figure: str) -> bool:
    """Tell whether a figure is a performance of a task, neither a rate nor an error nor a time."""
    return figure not in _RATES_AND_ERRORS
