"""Frozen models: what is between two of their blocks taken out, and put back to run the rest."""

from lamofc_tools.models.caches import cache_given
from lamofc_tools.models.diffusion import Painting, is_pipeline, open_pipeline
from lamofc_tools.models.extraction import Extraction
from lamofc_tools.models.inputs import Given, find_inputs
from lamofc_tools.models.kimiaudio import hearing, reheard
from lamofc_tools.models.kinds import Kind, kind_of
from lamofc_tools.models.opened import Opened, open_model
from lamofc_tools.models.showing import Showing, done_in, record
from lamofc_tools.models.stored import Features, instead, needed
from lamofc_tools.models.taking import take

__all__ = [
    "Extraction",
    "Features",
    "Given",
    "Kind",
    "Opened",
    "Painting",
    "Showing",
    "cache_given",
    "done_in",
    "find_inputs",
    "hearing",
    "instead",
    "is_pipeline",
    "kind_of",
    "needed",
    "open_model",
    "open_pipeline",
    "record",
    "reheard",
    "take",
]
