"""Rows and SQL: the catalog of a feature store. Knows no tensor; reads and writes local Parquet only."""

from lamofc_catalog.catalog import Catalog, LockedCatalog
from lamofc_catalog.columns import widen
from lamofc_catalog.errors import BadQuery, CatalogError, SchemaConflict, translated
from lamofc_catalog.merging import merge
from lamofc_catalog.rows import read_rows, write_rows
from lamofc_catalog.schemas import COMMITS, CONFIGS, PROFILES, RESERVED, TABLES

__all__ = [
    "COMMITS",
    "CONFIGS",
    "PROFILES",
    "RESERVED",
    "TABLES",
    "BadQuery",
    "Catalog",
    "CatalogError",
    "LockedCatalog",
    "SchemaConflict",
    "merge",
    "read_rows",
    "translated",
    "widen",
    "write_rows",
]
