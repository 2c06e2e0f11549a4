"""Tests that need a library which may be missing."""

from importlib.util import find_spec

import pytest


def needs(module: str) -> pytest.MarkDecorator:
    """Skips tests where a library is missing; it is imported by the tests themselves, not as they are collected."""
    return pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed")
