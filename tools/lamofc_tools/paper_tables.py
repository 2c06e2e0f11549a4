"""The former place of the papers' tables; use `paper_table` of `lamofc_tools.comparison`."""

from lamofc_tools.comparison import paper_table
from lamofc_tools.deprecated_names import warn_renamed

__all__ = ["paper_table"]

warn_renamed(__name__, "paper_table of lamofc_tools.comparison")
