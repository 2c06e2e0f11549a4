"""Assertions that name a figure, what was expected, and what was measured."""

from __future__ import annotations

import reprlib
from collections.abc import Callable

import torch
from torch import Tensor


def must_equal(figure: str, measured: object, expected: object) -> None:
    """Fail unless both are equal."""
    if measured != expected:
        raise AssertionError(f"{figure}: expected {reprlib.repr(expected)}, measured {reprlib.repr(measured)}")


def must_be_at_most(figure: str, measured: float, most: float) -> None:
    """Fail if a figure is larger."""
    if not measured <= most:
        raise AssertionError(f"{figure}: expected at most {most:.6g}, measured {measured:.6g}")


def must_match(figure: str, measured: Tensor, expected: Tensor) -> None:
    """Fail unless both tensors have one shape and the same values; a NaN equals none."""
    must_equal(f"shape {figure}", tuple(measured.shape), tuple(expected.shape))
    if not torch.equal(measured, expected):
        different = int((measured != expected).sum())
        raise AssertionError(f"values {figure}: expected 0 different ones, measured {different}")


def must_raise(error: type[Exception], deed: str, act: Callable[[], object]) -> None:
    """Fail unless the call raises this error."""
    try:
        act()
    except error:
        return
    except Exception as other:
        raise AssertionError(f"{deed}: expected {error.__name__}, measured {type(other).__name__}: {other}") from other
    raise AssertionError(f"{deed}: expected {error.__name__}, measured no error")
