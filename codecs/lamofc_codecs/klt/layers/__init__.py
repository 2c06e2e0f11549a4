"""Coding of quantised columns as a first layer and refinement layers.

In: integers, columns x tokens. Out: bytes a layer, and what a prefix of them decodes to."""

from lamofc_codecs.klt.layers.first_layer import first_bits, read_escapes, read_first, write_first
from lamofc_codecs.klt.layers.partial_level import Inwards, PartialLevel, dequantise, errors_of, half_known, inwards_of
from lamofc_codecs.klt.layers.passes import ALL, HALF, NONE, LayerSplit, Pass, choose_cut, state_after
from lamofc_codecs.klt.layers.refinement import (
    FACTOR,
    MAGNITUDES,
    REFINED,
    SECOND,
    digits_of,
    forms_of,
    halves_of,
    previous_level,
    read_refinement,
    refinement_bits,
    refinement_tables,
    write_refinement,
)
from lamofc_codecs.klt.layers.runs import Numbers, Runs, columns_by_class, entropy_classes

__all__ = [
    "ALL",
    "FACTOR",
    "HALF",
    "MAGNITUDES",
    "NONE",
    "REFINED",
    "SECOND",
    "Inwards",
    "LayerSplit",
    "Numbers",
    "PartialLevel",
    "Pass",
    "Runs",
    "choose_cut",
    "columns_by_class",
    "dequantise",
    "digits_of",
    "entropy_classes",
    "errors_of",
    "first_bits",
    "forms_of",
    "half_known",
    "halves_of",
    "inwards_of",
    "previous_level",
    "read_escapes",
    "read_first",
    "read_refinement",
    "refinement_bits",
    "refinement_tables",
    "state_after",
    "write_first",
    "write_refinement",
]
