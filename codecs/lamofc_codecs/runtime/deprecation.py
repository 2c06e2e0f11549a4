"""Keep the former names of a module's public names for one release."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any


def former_names(module: str, names: Mapping[str, tuple[str, Any]]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module; `names` maps a former name to the words for the new one, and the value."""

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        replacement, value = names[name]
        warnings.warn(f"{module}.{name} is now {replacement}", DeprecationWarning, stacklevel=2)
        return value

    return find
