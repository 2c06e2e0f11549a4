"""Extract features between the blocks of a frozen model, and run the rest of the model on stored features.

In: a model of transformers or a pipeline of diffusers, and images, sounds or texts. Out: samples, in a store or in
files, and the model's answer computed from stored features.
"""

from lamofc_tools.deprecated_names import former_names
from lamofc_tools.models.activations import block_outputs, extract_features
from lamofc_tools.models.block_source import BlockSource
from lamofc_tools.models.caches import (
    ATTENTION,
    STATE_SPACE,
    CacheLayout,
    cache_parameter,
    copy_rows,
    find_cache,
    new_cache,
)
from lamofc_tools.models.extraction import (
    RUN_KIND,
    ExtractionReport,
    SourceOptions,
    complete_samples,
    extract_to_files,
    extract_to_store,
    open_source,
    record_run,
)
from lamofc_tools.models.inputs import InputKind, ModelInput, find_inputs
from lamofc_tools.models.kimiaudio import record_kimiaudio, substitute_kimiaudio
from lamofc_tools.models.loaded_model import LoadedModel, open_model
from lamofc_tools.models.model_source import ModelSource, short_name, weights_digest
from lamofc_tools.models.registry import ModelKind, model_kind
from lamofc_tools.models.split_inference import replay, substitute_features
from lamofc_tools.models.stable_diffusion3 import DiffusionSource, is_pipeline, open_pipeline
from lamofc_tools.models.substitution import Features, replaced_forward, require_feature

__all__ = [
    "ATTENTION",
    "RUN_KIND",
    "STATE_SPACE",
    "BlockSource",
    "CacheLayout",
    "DiffusionSource",
    "ExtractionReport",
    "Features",
    "InputKind",
    "LoadedModel",
    "ModelInput",
    "ModelKind",
    "ModelSource",
    "SourceOptions",
    "block_outputs",
    "cache_parameter",
    "complete_samples",
    "copy_rows",
    "extract_features",
    "extract_to_files",
    "extract_to_store",
    "find_cache",
    "find_inputs",
    "is_pipeline",
    "model_kind",
    "new_cache",
    "open_model",
    "open_pipeline",
    "open_source",
    "record_kimiaudio",
    "record_run",
    "replaced_forward",
    "replay",
    "require_feature",
    "short_name",
    "substitute_features",
    "substitute_kimiaudio",
    "weights_digest",
]

FORMER_NAMES = {
    "Extraction": "BlockSource",
    "Given": "ModelInput",
    "Kind": "ModelKind",
    "Opened": "LoadedModel",
    "Painting": "DiffusionSource",
    "Showing": "ModelSource",
    "cache_given": "find_cache",
    "done_in": "complete_samples",
    "hearing": "record_kimiaudio",
    "kind_of": "model_kind",
    "record": "record_run",
    "reheard": "substitute_kimiaudio",
    "replaying": "substitute_features",
    "take": "extract_features",
}
__getattr__ = former_names(__name__, FORMER_NAMES)


def __dir__() -> list[str]:
    return __all__
