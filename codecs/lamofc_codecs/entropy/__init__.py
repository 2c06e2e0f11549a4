"""Entropy coding: integers and exact values to bytes and back.

In: symbols with a probability table for each row, small integers, exact values. Out: byte streams, the same from the
NumPy definition (`rans_reference`), the CPU and the GPU. `rans_gpu` loads Triton, so it is imported only where a GPU is
used.
"""

from lamofc_codecs.entropy import histogram, rans, rans_cpu, rans_layout, sigma_classes, tables
from lamofc_codecs.entropy.exact_values import (
    exact_of,
    positions_of,
    read_exact,
    read_outliers,
    write_exact,
    write_outliers,
)
from lamofc_codecs.entropy.exp_golomb import read_numbers, write_numbers
from lamofc_codecs.entropy.histogram import count_symbols, normalise
from lamofc_codecs.entropy.order0 import Form, entropy, read_plane, write_plane
from lamofc_codecs.entropy.rans_layout import BAD_FRAME, WRONG, list_streams
from lamofc_codecs.entropy.sigma_classes import ALL_CLASSES, CLASSES, LARGEST, class_sigma, classes_of, shape_of_classes
from lamofc_codecs.entropy.tables import ESCAPE, SIGMA_TABLES, SLOTS, SYMBOLS, Tables, sigma_tables

__all__ = [
    "ALL_CLASSES",
    "BAD_FRAME",
    "CLASSES",
    "ESCAPE",
    "LARGEST",
    "SIGMA_TABLES",
    "SLOTS",
    "SYMBOLS",
    "WRONG",
    "Form",
    "Tables",
    "class_sigma",
    "classes_of",
    "count_symbols",
    "entropy",
    "exact_of",
    "histogram",
    "list_streams",
    "normalise",
    "positions_of",
    "rans",
    "rans_cpu",
    "rans_layout",
    "read_exact",
    "read_numbers",
    "read_outliers",
    "read_plane",
    "shape_of_classes",
    "sigma_classes",
    "sigma_tables",
    "tables",
    "write_exact",
    "write_numbers",
    "write_outliers",
    "write_plane",
]
