"""Former names: each works for one release and warns."""

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def former_exports(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package that renamed what it exports: `{"Old": "New"}`."""

    def __getattr__(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        warnings.warn(f"{package}.{name} goes with version 0.2: use {names[name]}", DeprecationWarning, stacklevel=2)
        return getattr(import_module(package), names[name])

    return __getattr__
