"""Frozen models: what is between two of their blocks taken out, and put back to run the rest."""

from lamofc_tools.models.activations import take
from lamofc_tools.models.caches import cache_given
from lamofc_tools.models.extraction import Extraction
from lamofc_tools.models.inputs import Given, find_inputs
from lamofc_tools.models.kimiaudio import hearing, reheard
from lamofc_tools.models.loaded_model import Opened, open_model
from lamofc_tools.models.model_source import Showing, done_in, record
from lamofc_tools.models.registry import Kind, kind_of
from lamofc_tools.models.split_inference import replay, replaying
from lamofc_tools.models.stable_diffusion3 import Painting, is_pipeline, open_pipeline
from lamofc_tools.models.substitution import Features, instead, needed

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
    "replay",
    "replaying",
    "take",
]
