"""Measurements of a reproduction, and the tables that read them.

In: a plan of cells, and folders of inputs. Out: figures of each part that is measured, kept as runs, and those inputs
that are not there.
"""

from lamofc_tools.reproduction.parts.analysing import AnalysedPart, DistributionPart
from lamofc_tools.reproduction.parts.coding import ORIGINAL, CodedPart, Coder, MemoryPart
from lamofc_tools.reproduction.parts.inputs import FeatureSet, Inputs, Missing
from lamofc_tools.reproduction.parts.judging import PERFORMANCE, JudgedPart
from lamofc_tools.reproduction.parts.plan import (
    BLANK,
    LOSSLESS,
    Block,
    Cell,
    Constant,
    Figure,
    Figures,
    Label,
    Mean,
    Part,
    Plan,
    Related,
    Relation,
    Row,
    is_point,
)
from lamofc_tools.reproduction.parts.results import finished_parts, log_part, open_runs

__all__ = [
    "BLANK",
    "LOSSLESS",
    "ORIGINAL",
    "PERFORMANCE",
    "AnalysedPart",
    "Block",
    "Cell",
    "CodedPart",
    "Coder",
    "Constant",
    "DistributionPart",
    "FeatureSet",
    "Figure",
    "Figures",
    "Inputs",
    "JudgedPart",
    "Label",
    "Mean",
    "MemoryPart",
    "Missing",
    "Part",
    "Plan",
    "Related",
    "Relation",
    "Row",
    "finished_parts",
    "is_point",
    "log_part",
    "open_runs",
]
