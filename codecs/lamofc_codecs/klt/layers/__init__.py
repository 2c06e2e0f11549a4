"""Coding of quantised columns as a first layer and refinement layers.

In: levels, columns x tokens. Out: bytes a layer, and what a prefix of them decodes to."""

from lamofc_codecs.klt.layers.digit_kernels import INWARD, MAGNITUDES
from lamofc_codecs.klt.layers.first_layer import first_bits, read_first, write_first
from lamofc_codecs.klt.layers.partial_level import (
    Offsets,
    PartialLevel,
    dequantise,
    errors_by_state,
    offsets_by_group,
    undecided_offsets,
)
from lamofc_codecs.klt.layers.passes import COMPLETE, OUTWARD_READ, UNREAD, LayerSplit, Pass, choose_split, state_after
from lamofc_codecs.klt.layers.refinement import (
    MAX_REFINABLE,
    STEP_RATIO,
    alphabets_of,
    count_digits,
    pass_bits,
    previous_level,
    read_refinement,
    refinement_bits,
    refinement_tables,
    write_refinement,
)
from lamofc_codecs.klt.layers.runs import Levels, Runs, columns_by_class, sigma_classes

__all__ = [
    "COMPLETE",
    "INWARD",
    "MAGNITUDES",
    "MAX_REFINABLE",
    "OUTWARD_READ",
    "STEP_RATIO",
    "UNREAD",
    "LayerSplit",
    "Levels",
    "Offsets",
    "PartialLevel",
    "Pass",
    "Runs",
    "alphabets_of",
    "choose_split",
    "columns_by_class",
    "count_digits",
    "dequantise",
    "errors_by_state",
    "first_bits",
    "offsets_by_group",
    "pass_bits",
    "previous_level",
    "read_first",
    "read_refinement",
    "refinement_bits",
    "refinement_tables",
    "sigma_classes",
    "state_after",
    "undecided_offsets",
    "write_first",
    "write_refinement",
]
