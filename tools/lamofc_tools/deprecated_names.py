"""Former names. They give the same objects until the next minor version, with a warning that names the new ones."""

import functools
import runpy
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

REMOVAL = "0.2"
"""Version without the former names."""
_CALLER = 3
"""Frames from the warning to the user's line: this function, the function that it serves, the user."""

F = TypeVar("F", bound=Callable[..., Any])


def warn_renamed(former: str, name: str) -> None:
    """Warn the caller's caller that a name has changed."""
    warnings.warn(f"{former} is removed in version {REMOVAL}: use {name}", DeprecationWarning, stacklevel=_CALLER)


def run_renamed(former: str, module: str) -> None:
    """Run a program, `python -m module`, that was started by its former name, and warn."""
    warnings.warn(
        f"python -m {former} is removed in version {REMOVAL}: use python -m {module}", DeprecationWarning, stacklevel=2
    )
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def former_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module whose names have changed; `names` maps former names to present ones."""

    def resolve(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warn_renamed(f"{module}.{name}", names[name])
        return getattr(sys.modules[module], names[name])

    return resolve


def former_method(former: str, method: F) -> F:
    """Return a method under its former name."""

    @functools.wraps(method)
    def renamed(*arguments: Any, **options: Any) -> Any:
        warn_renamed(former, method.__name__)
        return method(*arguments, **options)

    return renamed  # type: ignore[return-value]
