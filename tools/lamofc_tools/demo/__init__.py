"""The tour: digits, a small model, its features in several stores, and what they are worth there."""

from lamofc_tools.demo.pages import next_steps, show
from lamofc_tools.demo.picture import Picture
from lamofc_tools.demo.stages import Settings, Step, tour

__all__ = [
    "Picture",
    "Settings",
    "Step",
    "next_steps",
    "show",
    "tour",
]
