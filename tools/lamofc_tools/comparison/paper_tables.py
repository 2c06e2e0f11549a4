"""Tables of the papers, as published, to stand beside measured figures."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

from lamofc_store.errors import BadArgument


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
