"""The page of the catalog names every table, view and column, and no others."""

import re
from pathlib import Path
from typing import Any

import pytest

from lamofc_catalog import TABLES
from lamofc_catalog.errors import VIEWS

ROOM = Path(__file__).parents[2] / "catalog"
PAGE = (ROOM / "README.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|^\*\*|^Deletes|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def _table(section: str) -> list[tuple[str, str]]:
    """(column, meaning) of each line of the section's table."""
    return re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]*) \|$", section, re.MULTILINE)


@pytest.mark.parametrize("view", VIEWS)
def test_every_column_of_a_view_is_explained(view: str, open_catalog: Any) -> None:
    rows = _table(SECTIONS[view])
    assert [column for column, _ in rows] == open_catalog({}).sql(f"SELECT * FROM {view}").columns
    assert all(len(meaning) > 3 for _, meaning in rows)


def test_the_table_gone_is_explained() -> None:
    assert [column for column, _ in _table(SECTIONS["gone"])] == TABLES["gone"].names


def test_no_other_view_is_named(open_catalog: Any) -> None:
    assert set(SECTIONS) == {*VIEWS, "gone"}
    catalog = open_catalog({})
    shown = catalog.sql("SELECT view_name FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal")
    assert {name for (name,) in shown.fetchall()} == set(VIEWS)


def test_the_tree_names_every_file() -> None:
    files = {path.name for path in (ROOM / "lamofc_catalog").glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"^ +(\w+\.py) ", PAGE, re.MULTILINE)) == files


def test_every_view_has_its_file() -> None:
    assert {path.stem for path in (ROOM / "lamofc_catalog" / "sql").glob("*.sql")} == {
        *VIEWS,
        "stored",
        "gone",
        "macros",
    }
