"""Coding of quantised columns as a first layer and refinement layers.

In: integers, columns x tokens. Out: bytes a layer, and what a prefix of them decodes to."""

from lamofc_codecs.klt.layers.first_layer import first_bits, read_escapes, read_first, write_first
from lamofc_codecs.klt.layers.partial_level import Between, Inwards, errors_of, half_known, inwards_of, worth_of
from lamofc_codecs.klt.layers.passes import ALL, HALF, NONE, Cut, Stage, choose_cut, known_after
from lamofc_codecs.klt.layers.refinement import (
    FACTOR,
    MAGNITUDES,
    REFINED,
    SECOND,
    coarser,
    digits_of,
    forms_of,
    halves_of,
    read_refinement,
    refinement_bits,
    refinement_tables,
    write_refinement,
)
from lamofc_codecs.klt.layers.runs import Numbers, Runs, kinds_of, sorted_columns

__all__ = [
    "ALL",
    "FACTOR",
    "HALF",
    "MAGNITUDES",
    "NONE",
    "REFINED",
    "SECOND",
    "Between",
    "Cut",
    "Inwards",
    "Numbers",
    "Runs",
    "Stage",
    "choose_cut",
    "coarser",
    "digits_of",
    "errors_of",
    "first_bits",
    "forms_of",
    "half_known",
    "halves_of",
    "inwards_of",
    "kinds_of",
    "known_after",
    "read_escapes",
    "read_first",
    "read_refinement",
    "refinement_bits",
    "refinement_tables",
    "sorted_columns",
    "worth_of",
    "write_first",
    "write_refinement",
]
