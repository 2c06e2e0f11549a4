"""The papers' tables and figures as plans.

In: a name such as `lamofcbench-8`. Out: its plan. A new table is a plan in the file of its paper, under its name.
"""

from lamofc_tools.reproduction.tables.rate_blocks import CORRELATION, DETERMINATION, WHOLE, RateTable
from lamofc_tools.reproduction.tables.registry import PLANS, plan_of

__all__ = ["CORRELATION", "DETERMINATION", "PLANS", "WHOLE", "RateTable", "plan_of"]
