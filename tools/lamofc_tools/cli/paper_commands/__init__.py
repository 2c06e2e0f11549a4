"""Commands that make the papers' tables.

In: the name of a table, and folders of inputs. Out: the table with the printed numbers, and a list of missing inputs.
"""

from lamofc_tools.cli.paper_commands import reproduce

__all__ = ["reproduce"]
