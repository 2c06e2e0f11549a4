"""Sigma classes: the frozen table and the low bits for levels of a given standard deviation over step."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import load

from lamofc_codecs.errors import CodecError
from lamofc_codecs.runtime import compiled

CLASSES = 48
"""Classes with a frozen table of their own."""
CLASSES_PER_OCTAVE = 6
UNIT_CLASS = 20
"""The class whose sigma is one step."""
ALL_CLASSES = CLASSES + 24 * CLASSES_PER_OCTAVE
"""The frozen classes and those that leave 1 to 24 low bits raw."""
MAX_LOW_BITS = 15
"""Most low bits that `classes_of` leaves raw."""
LARGEST_LEVEL = 1 << 22
"""Largest magnitude of a level; float32 still separates neighbours there."""
_SHA256 = "562f542ec3136aafd4caa37cde23fe33b8fc6ac05d3c9cbf87887401b879f876"
_FILE = Path(__file__).with_name("sigma_tables.safetensors")


@cache
def frozen() -> dict[str, NDArray[np.generic]]:
    """Load the frozen tables from their file; CodecError if its sha256 is not the expected one."""
    data = _FILE.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != _SHA256:
        raise CodecError(f"{_FILE.name} has sha256 {digest}, expected {_SHA256}", "install lamofc-store again")
    return dict(load(data))


@cache
def radii() -> NDArray[np.uint8]:
    """Return the largest magnitude that each frozen table holds; larger ones are escaped."""
    return np.ascontiguousarray(frozen()["radii"], np.uint8)


@cache
def thresholds() -> NDArray[np.float32]:
    """Return the least sigma / step of each class but the first."""
    return np.ascontiguousarray(frozen()["thresholds"], np.float32)


def split_class(classes: ArrayLike) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the frozen table of each class and the number of low bits that it leaves raw."""
    numbers = np.asarray(classes, np.int64)
    above = numbers - CLASSES
    table = np.where(above < 0, numbers, CLASSES - CLASSES_PER_OCTAVE + above % CLASSES_PER_OCTAVE)
    return table.astype(np.uint8), np.where(above < 0, 0, 1 + above // CLASSES_PER_OCTAVE).astype(np.uint8)


def class_sigma(classes: ArrayLike) -> NDArray[np.float32]:
    """Return sigma / step at the middle of each class."""
    return np.asarray(np.exp2((np.asarray(classes, np.float64) - UNIT_CLASS) / CLASSES_PER_OCTAVE), np.float32)


@cache
def shape_of_classes() -> NDArray[np.int32]:
    """Return, for each class, the number of its frozen table, its low bits, and the largest high part not escaped."""
    tables, shifts = split_class(np.arange(ALL_CLASSES))
    shape: NDArray[np.int32] = np.stack([tables, shifts, radii()[tables]]).astype(np.int32)
    return shape


def classes_of(sigma: NDArray[np.float32], step: np.float32) -> NDArray[np.uint8]:
    """Return the class of columns with these standard deviations, with at most MAX_LOW_BITS."""
    classes = np.empty(sigma.shape, np.uint8)
    ratios = np.ascontiguousarray(sigma, np.float32).reshape(-1)
    classify(ratios, np.float32(step), thresholds(), classes.reshape(-1))
    return classes


@compiled
def classify(
    sigma: NDArray[np.float32], step: np.float32, limits: NDArray[np.float32], classes: NDArray[np.uint8]
) -> None:
    """Count the thresholds up to each sigma / step, beginning at the class before, which is seldom far."""
    largest = CLASSES + MAX_LOW_BITS * CLASSES_PER_OCTAVE - 1
    found = 0
    for column in range(sigma.size):
        ratio = sigma[column] / step
        while found < limits.size and not limits[found] > ratio:
            found += 1
        while found > 0 and limits[found - 1] > ratio:
            found -= 1
        classes[column] = np.uint8(min(found, largest))
