"""Frozen models: what is between two of their blocks taken out, and put back to run the rest."""

from lamofc_tools.models.activations import take
from lamofc_tools.models.caches import cache_given
from lamofc_tools.models.extraction import Extraction
from lamofc_tools.models.inputs import Given, find_inputs
from lamofc_tools.models.kimiaudio import hearing, reheard
from lamofc_tools.models.loaded_model import LoadedModel, open_model
from lamofc_tools.models.model_source import ModelSource, done_in, record
from lamofc_tools.models.registry import Kind, kind_of
from lamofc_tools.models.split_inference import replay, replaying
from lamofc_tools.models.stable_diffusion3 import DiffusionSource, is_pipeline, open_pipeline
from lamofc_tools.models.substitution import Features, replaced_forward, require_feature

__all__ = [
    "DiffusionSource",
    "Extraction",
    "Features",
    "Given",
    "Kind",
    "LoadedModel",
    "ModelSource",
    "cache_given",
    "done_in",
    "find_inputs",
    "hearing",
    "is_pipeline",
    "kind_of",
    "open_model",
    "open_pipeline",
    "record",
    "reheard",
    "replaced_forward",
    "replay",
    "replaying",
    "require_feature",
    "take",
]
