"""Shares of the stages of some work in its time, by the functions of a package that run on the calling thread."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType

OTHER = "other"


@dataclass(frozen=True)
class Stage:
    """A stage of some work: the functions whose time it is, as far as they call none of another stage."""

    name: str
    places: tuple[str, ...]
    """Modules or packages as `klt.layers`, functions as `klt.fit.pca:products_of`; the most specific place counts."""
    with_callees: bool = False
    """Whether the time of all functions that these call is of this stage, too."""


class StageClock:
    """A clock that is switched from stage to stage by a profile hook, which adds about a microsecond a call."""

    def __init__(self, package: str, stages: Sequence[Stage]) -> None:
        self._prefix, self._other = f"{package}.", Stage(OTHER, ())
        self._by_place = {place: stage for stage in stages for place in stage.places}
        self._by_code: dict[CodeType, Stage | None] = {}
        self._seconds = {stage.name: 0.0 for stage in (*stages, self._other)}

    def shares(self, work: Callable[[], object]) -> dict[str, float]:
        """Do some work, and return the share of each stage in its time."""
        self._seconds = dict.fromkeys(self._seconds, 0.0)
        self._running, self._last = [self._other], time.perf_counter()
        before = sys.getprofile()
        sys.setprofile(self._switch)
        try:
            work()
        finally:
            sys.setprofile(before)
        self._charge(self._running[-1])
        total = sum(self._seconds.values())
        return {name: seconds / total for name, seconds in self._seconds.items()}

    def _switch(self, frame: FrameType, event: str, _argument: object) -> None:
        current = self._running[-1]
        if event == "call":
            stage = None if current.with_callees else self._stage_of(frame)
            self._running.append(stage or current)
        elif event == "return" and len(self._running) > 1:
            self._running.pop()
        if self._running[-1] is not current:
            self._charge(current)

    def _charge(self, stage: Stage) -> None:
        now = time.perf_counter()
        self._seconds[stage.name] += now - self._last
        self._last = now

    def _stage_of(self, frame: FrameType) -> Stage | None:
        code = frame.f_code
        if code not in self._by_code:
            self._by_code[code] = self._find(str(frame.f_globals.get("__name__", "")), code.co_name)
        return self._by_code[code]

    def _find(self, module: str, function: str) -> Stage | None:
        if not module.startswith(self._prefix):
            return None
        place = module.removeprefix(self._prefix)
        if f"{place}:{function}" in self._by_place:
            return self._by_place[f"{place}:{function}"]
        while place and place not in self._by_place:
            place = place.rpartition(".")[0]
        return self._by_place.get(place)
