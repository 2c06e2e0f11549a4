"""An attribute worked out when it is first asked for, without a lock.

`functools.cached_property` of Python 3.11 holds one lock for all instances of a class; a process forked while another
thread holds it waits for ever. Threads that ask at once may both work it out here: the results are equal.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class lazy(Generic[Value]):
    """Kept in the instance's `__dict__`, where later look-ups find it before they come here."""

    def __init__(self, work: Callable[[Any], Value]) -> None:
        self._work = work
        self.__doc__ = work.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "lazy[Value]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> "lazy[Value] | Value":
        if instance is None:
            return self
        value = instance.__dict__[self._work.__name__] = self._work(instance)
        return value
