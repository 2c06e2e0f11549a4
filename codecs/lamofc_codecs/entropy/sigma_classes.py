"""Classes of spread: which frozen table codes the quantised values of a given sigma over step."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import load

from lamofc_codecs.errors import CodecError

CLASSES = 48
PER_OCTAVE = 6
UNIT_CLASS = 20
"""The class whose sigma is one step."""
ALL_CLASSES = CLASSES + 24 * PER_OCTAVE
"""Frozen classes and those with raw low bits, up to 24 of them."""
_SHA256 = "562f542ec3136aafd4caa37cde23fe33b8fc6ac05d3c9cbf87887401b879f876"
_FILE = Path(__file__).with_name("sigma_tables.safetensors")


@cache
def frozen() -> dict[str, NDArray[np.generic]]:
    """The tensors of the data file, once their sha256 is found to be the known one."""
    data = _FILE.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != _SHA256:
        raise CodecError(f"{_FILE.name} has sha256 {found}, expected {_SHA256}", "install lamofc-store again")
    return dict(load(data))


@cache
def radii() -> NDArray[np.uint8]:
    """The largest magnitude that each frozen table holds; beyond it a value is escaped."""
    return np.ascontiguousarray(frozen()["radii"], np.uint8)


def class_of(sigma_over_step: ArrayLike) -> NDArray[np.uint8]:
    """The class for each ratio of standard deviation to step, by comparing float32 with committed thresholds."""
    return np.searchsorted(frozen()["thresholds"], np.asarray(sigma_over_step, np.float32), side="right").astype(
        np.uint8
    )


def split_class(classes: ArrayLike) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The frozen table of each class, and how many low bits of its values are sent raw."""
    numbers = np.asarray(classes, np.int64)
    above = numbers - CLASSES
    table = np.where(above < 0, numbers, CLASSES - PER_OCTAVE + above % PER_OCTAVE)
    return table.astype(np.uint8), np.where(above < 0, 0, 1 + above // PER_OCTAVE).astype(np.uint8)


def class_sigma(classes: ArrayLike) -> NDArray[np.float32]:
    """sigma / step at the middle of each class."""
    return np.asarray(np.exp2((np.asarray(classes, np.float64) - UNIT_CLASS) / PER_OCTAVE), np.float32)


MAX_SHIFT = 15
LARGEST = 1 << 22
"""Magnitudes up to this are coded; float32 still tells neighbours apart there."""


@cache
def shape_of_classes() -> NDArray[np.int32]:
    """Return, for each class, the number of its frozen table, its low bits, and the largest high part not escaped."""
    tables, shifts = split_class(np.arange(ALL_CLASSES))
    shape: NDArray[np.int32] = np.stack([tables, shifts, radii()[tables]]).astype(np.int32)
    return shape


def classes_of(sigma: NDArray[np.float32], step: np.float32) -> NDArray[np.uint8]:
    """Return the class of columns of these standard deviations; at most 15 low bits are stored raw."""
    with np.errstate(over="ignore"):
        return np.minimum(class_of(sigma / step), CLASSES + MAX_SHIFT * PER_OCTAVE - 1).astype(np.uint8)
