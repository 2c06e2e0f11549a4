"""The tour: a small model of handwritten digits, its features in several stores, and the accuracy that they keep.

In: a folder and settings. Out: steps, each a document, and pages that show them on a terminal of 80 columns.
"""

from lamofc_tools.demo.pages import next_commands, show
from lamofc_tools.demo.picture import Picture
from lamofc_tools.demo.stages import Settings, Step, tour

__all__ = [
    "Picture",
    "Settings",
    "Step",
    "next_commands",
    "show",
    "tour",
]
