"""An attribute that is computed at its first access, without a lock.

`functools.cached_property` of Python 3.11 holds one lock for all instances of a class, so a process that is forked
while another thread holds it waits for ever. Here two threads may both compute the attribute; the results are equal.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class lazy(Generic[Value]):
    """Decorator of a method without arguments, whose result is stored in the instance's `__dict__` under its name."""

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "lazy[Value]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> "lazy[Value] | Value":
        if instance is None:
            return self
        value = instance.__dict__[self._compute.__name__] = self._compute(instance)
        return value
