"""Attributes worked out when asked for: once, and by nobody whom another thread could make wait."""

import threading

from lamofc_codecs.runtime.lazy_attribute import lazy


class _Circle:
    def __init__(self, radius: float) -> None:
        self.radius = radius
        self.worked_out = 0
        self.waiting: threading.Event | None = None

    @lazy
    def area(self) -> float:
        """Of the disc."""
        self.worked_out += 1
        if self.waiting is not None and threading.current_thread() is not threading.main_thread():
            self.waiting.wait(30)
        return 3.0 * self.radius**2


def test_it_is_worked_out_once_and_belongs_to_one_instance() -> None:
    one, other = _Circle(1.0), _Circle(2.0)
    assert (one.area, one.area, other.area) == (3.0, 3.0, 12.0)
    assert (one.worked_out, other.worked_out) == (1, 1)
    assert _Circle.area.__doc__ == "Of the disc."


def test_nobody_waits_for_another_thread_that_is_at_it() -> None:
    circle = _Circle(1.0)
    circle.waiting = threading.Event()
    slow = threading.Thread(target=lambda: circle.area)
    slow.start()
    try:
        assert circle.area == 3.0
        assert slow.is_alive()
    finally:
        circle.waiting.set()
        slow.join()
