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


class Renamed:
    """Make a class attribute that reads the one of the new name: `old = Renamed("new")`."""

    def __init__(self, new: str) -> None:
        self.new = new

    def __set_name__(self, owner: type, name: str) -> None:
        self.old = name

    def __get__(self, instance: object | None, owner: type) -> Any:
        if instance is None:
            return self
        warnings.warn(
            f"{owner.__name__}.{self.old} goes with version 0.2: use {self.new}", DeprecationWarning, stacklevel=2
        )
        return getattr(instance, self.new)
