"""Entropy coding: symbols, small integers and exact values to bytes and back.

In: symbols with a probability table for each row, small integers, exact values. Out: byte streams, which are equal
whether the NumPy definition (`rans_reference`), the CPU or the GPU wrote them. `rans_gpu` loads Triton, so it is
imported only where a GPU is used.
"""

from lamofc_codecs.entropy import histogram, rans, rans_cpu, rans_layout, sigma_classes, tables
from lamofc_codecs.entropy.exact_values import (
    exact_positions,
    exact_values_by_part,
    read_exact_parts,
    read_exact_values,
    write_exact_parts,
    write_exact_values,
)
from lamofc_codecs.entropy.exp_golomb import read_numbers, write_numbers
from lamofc_codecs.entropy.histogram import count_symbols, normalise
from lamofc_codecs.entropy.order0 import Form, decode_plane, entropy_bytes, read_plane, write_plane
from lamofc_codecs.entropy.rans_layout import BAD_FRAME, STREAM_ERRORS, list_streams
from lamofc_codecs.entropy.sigma_classes import (
    ALL_CLASSES,
    CLASSES,
    LARGEST_LEVEL,
    class_sigma,
    classes_of,
    classify,
    shape_of_classes,
    thresholds,
)
from lamofc_codecs.entropy.tables import ESCAPE, SIGMA_TABLES, SLOTS, SYMBOLS, Tables, sigma_tables

__all__ = [
    "ALL_CLASSES",
    "BAD_FRAME",
    "CLASSES",
    "ESCAPE",
    "LARGEST_LEVEL",
    "SIGMA_TABLES",
    "SLOTS",
    "STREAM_ERRORS",
    "SYMBOLS",
    "Form",
    "Tables",
    "class_sigma",
    "classes_of",
    "classify",
    "count_symbols",
    "decode_plane",
    "entropy_bytes",
    "exact_positions",
    "exact_values_by_part",
    "histogram",
    "list_streams",
    "normalise",
    "rans",
    "rans_cpu",
    "rans_layout",
    "read_exact_parts",
    "read_exact_values",
    "read_numbers",
    "read_plane",
    "shape_of_classes",
    "sigma_classes",
    "sigma_tables",
    "tables",
    "thresholds",
    "write_exact_parts",
    "write_exact_values",
    "write_numbers",
    "write_plane",
]
