"""A sample: an id, named tensors, attributes; its nested structure; its layout as tokens x channels.

In: tensors as a source gives them, nested or named, of any layout. Out: flat named features as tokens x channels, and
the structure and patterns that bring them back; file names for ids.
"""

from lamofc_store.sample import layout, structure
from lamofc_store.sample.file_names import EXPORT_MARKER, STRUCTURE_KEY, file_of, files_of, id_of
from lamofc_store.sample.layout import Grid, has_planes, pattern_for, patterns_by_axes, planes_of, to_tokens
from lamofc_store.sample.published_packing import Packing, published_packing
from lamofc_store.sample.sample import RESERVED_COLUMNS, Sample, Scalar
from lamofc_store.sample.structure import (
    ENVELOPE_KEYS,
    UNNAMED_FEATURE,
    Keys,
    add_features,
    flatten,
    is_scalar,
    merge_structures,
    restore,
    tensor_paths,
    to_scalar,
)
from lamofc_store.sample.tensors import as_tensor

__all__ = [
    "ENVELOPE_KEYS",
    "EXPORT_MARKER",
    "RESERVED_COLUMNS",
    "STRUCTURE_KEY",
    "UNNAMED_FEATURE",
    "Grid",
    "Keys",
    "Packing",
    "Sample",
    "Scalar",
    "add_features",
    "as_tensor",
    "file_of",
    "files_of",
    "flatten",
    "has_planes",
    "id_of",
    "is_scalar",
    "layout",
    "merge_structures",
    "pattern_for",
    "patterns_by_axes",
    "planes_of",
    "published_packing",
    "restore",
    "structure",
    "tensor_paths",
    "to_scalar",
    "to_tokens",
]
