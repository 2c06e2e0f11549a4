"""The catalog, under the store's name."""

from lamofc_catalog import *  # noqa: F403
