"""A sample: an id, named tensors, attributes; its nested structure; its layout as tokens x channels."""

from lamofc_store.sample import layout, structure
from lamofc_store.sample.file_names import MARKER, STRUCTURE, file_of, files_of, id_of
from lamofc_store.sample.layout import Grid, pattern_for, to_tokens
from lamofc_store.sample.sample import OWN, Sample, Scalar
from lamofc_store.sample.structure import (
    BARE,
    ENVELOPE,
    Keys,
    completed,
    flatten,
    is_plain,
    merged,
    plain,
    restore,
    tensor_of,
)

__all__ = [
    "BARE",
    "ENVELOPE",
    "MARKER",
    "OWN",
    "STRUCTURE",
    "Grid",
    "Keys",
    "Sample",
    "Scalar",
    "completed",
    "file_of",
    "files_of",
    "flatten",
    "id_of",
    "is_plain",
    "layout",
    "merged",
    "pattern_for",
    "plain",
    "restore",
    "structure",
    "tensor_of",
    "to_tokens",
]
