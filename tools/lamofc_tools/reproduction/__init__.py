"""Reproduction of the papers' tables on one's own features: what can be measured is, what is missing is named.

In: the name of a table, and folders of features, weights and judges. Out: its numbers beside the printed ones, and the
inputs that are not there. A table is a plan: rows of cells that read figures of parts; each part is kept when done.
"""

from lamofc_tools.reproduction.drawing import check_drawing, draw
from lamofc_tools.reproduction.parts import Inputs, Missing, Plan
from lamofc_tools.reproduction.run import FilledBlock, FilledRow, Reproduction, reproduce
from lamofc_tools.reproduction.tables import PLANS, plan_of

__all__ = [
    "PLANS",
    "FilledBlock",
    "FilledRow",
    "Inputs",
    "Missing",
    "Plan",
    "Reproduction",
    "check_drawing",
    "draw",
    "plan_of",
    "reproduce",
]
